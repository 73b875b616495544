"""Steps that run again what died with its process, its worker or its host."""

import logging
from datetime import UTC, datetime, timedelta

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import FlowRun

from tasks import alerts, runs
from tasks.policy.restarts import FLOWS, RELEASING, After, after_crash
from tasks.reasons import ASKED_BY_MONITOR
from tasks.records import Environment
from tasks.settings import Settings

log = logging.getLogger(__name__)

_LOOK_BACK = timedelta(hours=1)  # what crashed before is a person's by now


@task(cache_policy=NO_CACHE, task_run_name="runs that fell silent")
def end_silent() -> str:
    """End for Prefect what died with its host, of which nobody told; what was ended."""
    lost = runs.end_silent((*FLOWS, *RELEASING))
    for run in lost:
        log.warning("%s: no heartbeat comes any more", run.name)
    return "; ".join(f"{run.name}: lost" for run in lost) or "every run is heard"


@task(cache_policy=NO_CACHE, task_run_name="runs that crashed")
def restart(settings: Settings) -> str:
    """Schedule every crashed run again, the same run in its next attempt; what was done.

    Each step of a flow finds what the attempt before it did: the training job goes on and is
    attached to, the snapshot and the version are there. Prefect itself runs nothing again.
    """
    told = [
        f"{run.name}: {_follow(settings, run)}"
        for run in runs.crashed(FLOWS, datetime.now(UTC) - _LOOK_BACK)
    ]
    return "; ".join(told) or "no run crashed"


def _follow(settings: Settings, run: FlowRun) -> str:
    crashes = runs.crashes(run)
    match after := after_crash(crashes, _kept(run)):
        case After.AGAIN:
            runs.again(run, f"attempt {crashes + 1}: the one before crashed")
        case After.TELL:
            _tell(settings, run, crashes)
    log.info("%s crashed %d times: %s", run.name, crashes, after)
    return after


def _kept(run: FlowRun) -> bool:
    reason = run.parameters.get("reason")
    return isinstance(reason, dict) and reason.get("kind") in ASKED_BY_MONITOR


def _tell(settings: Settings, run: FlowRun, crashes: int) -> None:
    environment = Environment(
        settings.project, settings.environment, settings.alert_topic_arn, settings.models_bucket
    )
    why = run.state.message if run.state else ""
    message = f"It crashed {crashes} times and is not run again. The last time: {why}"
    again = f"prefect flow-run retry {run.id}"
    alerts.notify(environment, f"P1: {run.name} does not get through", message, again, str(run.id))
