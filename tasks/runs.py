"""Flow runs as Prefect knows them: what became of one, starting one exactly once, and again."""

import logging
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import OrchestrationResult, filters
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.deployments import run_deployment
from prefect.events.filters import (
    EventFilter,
    EventNameFilter,
    EventOccurredFilter,
    EventResourceFilter,
)
from prefect.exceptions import ObjectNotFound
from prefect.states import AwaitingRetry, Crashed

from tasks.errors import Conflict, NotFound
from tasks.policy.recovery import Fate

log = logging.getLogger(__name__)

_HOLDER = re.compile(r"flow run ([0-9a-f-]{36}) attempt \d+")
_LOST = "Lost"  # a run of which no heartbeat came for `_SILENCE`, or that did not begin
_SILENCE = timedelta(seconds=75)  # two heartbeats did not come, and a half
_LOOKING = "reconcile"
_NEVER_BEGAN = timedelta(minutes=4)
_DOUBT = timedelta(seconds=40)  # more than from one heartbeat to the next


def fate(holder: str) -> Fate:
    """Whether the run that the journal names may still be at work.

    Crashed is not proof of death: who acts on OVER has to fence that run out by the journal.
    """
    if not (named := _HOLDER.fullmatch(holder)):
        return Fate.UNKNOWN
    try:
        with get_client(sync_client=True) as client:
            return _fate(client, UUID(named[1]))
    except (ObjectNotFound, httpx.HTTPError) as error:
        log.warning("Prefect cannot tell what became of %s: %s", holder, error)
        return Fate.UNKNOWN


def start(deployment: str, parameters: dict[str, object], key: str) -> FlowRun:
    """The run of the deployment that was asked for with this key; asking again is asking once."""
    try:
        run = run_deployment(
            deployment, parameters=parameters, idempotency_key=key, timeout=0, as_subflow=False
        )
    except ObjectNotFound as error:
        raise NotFound(f"Prefect has no deployment {deployment}: run make deploy") from error
    assert isinstance(run, FlowRun)  # not in a coroutine here
    return run


def crashed(flows: Sequence[str], since: datetime) -> list[FlowRun]:
    """Runs of deployments of these flows that crashed since then and do not live after all."""
    ended = filters.FlowRunFilterEndTime(after_=since)
    with get_client(sync_client=True) as client:
        found = _deployed(client, flows, StateType.CRASHED, end_time=ended)
        return [run for run in found if _ended(client, run)]


def end_silent(flows: Sequence[str]) -> list[FlowRun]:
    """Call Crashed the runs of deployments of these flows whose host says nothing any more.

    They are called Lost, which is doubted for a while, where Prefect itself may have been away.
    Asked, and not watched by automations of the server: those write a row for each event of each
    run, and its SQLite is locked by that for a minute at a time.
    """
    now = datetime.now(UTC)
    with get_client(sync_client=True) as client:
        at_work = _deployed(client, flows, StateType.PENDING, StateType.RUNNING)
        silent = [run for run in at_work if _silent(client, run, now)]
        name = None if silent and _listened(client, now) else _LOST
        for run in silent:
            client.set_flow_run_state(run.id, Crashed(name=name, message="its host fell silent"))
    return silent


def crashes(run: FlowRun) -> int:
    """In how many attempts of the run it crashed."""
    with get_client(sync_client=True) as client:
        states = client.read_flow_run_states(run.id)
    return sum(state.type is StateType.CRASHED for state in states)


def again(run: FlowRun, why: str) -> None:
    """The same run in another attempt; asking twice is asking once."""
    with get_client(sync_client=True) as client:
        answer: OrchestrationResult[object] = client.set_flow_run_state(
            run.id, AwaitingRetry(message=why)
        )
    if answer.status is not SetStateStatus.ACCEPT:
        raise Conflict(f"{run.name} cannot be run again: {answer.details}")


def _deployed(
    client: SyncPrefectClient, flows: Sequence[str], *states: StateType, **more: Any
) -> list[FlowRun]:
    """Runs of deployments of these flows in one of the states; `more` narrows the filter."""
    types = filters.FlowRunFilterStateType(any_=list(states))
    return client.read_flow_runs(
        flow_filter=filters.FlowFilter(name=filters.FlowFilterName(any_=list(flows))),
        flow_run_filter=filters.FlowRunFilter(
            state=filters.FlowRunFilterState(type=types),
            deployment_id=filters.FlowRunFilterDeploymentId(is_null_=False),
            **more,
        ),
    )


def _fate(client: SyncPrefectClient, run_id: UUID) -> Fate:
    """A sub-flow dies with its parent's process, and nobody sets its state then."""
    while True:
        run = client.read_flow_run(run_id)
        if _ended(client, run):
            return Fate.OVER
        if run.parent_task_run_id is None or run.deployment_id is not None:
            return Fate.ALIVE
        parent = client.read_task_run(run.parent_task_run_id).flow_run_id
        if parent is None:
            return Fate.ALIVE
        run_id = parent


def _ended(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Lost is believed only after another heartbeat's time: while Prefect is down it hears nobody.

    A run that was only unheard is heard again after that.
    """
    if run.state is None or not run.state.is_final():
        return False
    if run.state.name != _LOST:
        return True
    now, lost = datetime.now(UTC), run.state.timestamp
    return now - lost > _DOUBT and not _heard(client, run.id, max(lost, now - _SILENCE))


def _silent(client: SyncPrefectClient, run: FlowRun, now: datetime) -> bool:
    assert run.state is not None  # it was asked for by its state
    since = now - run.state.timestamp
    if run.state.is_pending():
        return since > _NEVER_BEGAN
    return since > _SILENCE and not _heard(client, run.id, now - _SILENCE)


def _listened(client: SyncPrefectClient, now: datetime) -> bool:
    """Whether Prefect would have heard a heartbeat: the look of a minute ago came to its end."""
    then = filters.FlowRunFilterEndTime(after_=now - _SILENCE, before_=now - _DOUBT)
    return bool(_deployed(client, [_LOOKING], StateType.COMPLETED, end_time=then))


def _heard(client: SyncPrefectClient, run_id: UUID, since: datetime) -> bool:
    wanted = EventFilter(
        event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run_id}"]),
        occurred=EventOccurredFilter(since=since),
    )
    return bool(client.read_events(wanted, limit=1).events)
