"""Steps that start the retrains which were asked for and did not begin."""

import logging
from datetime import UTC, datetime, timedelta

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import alerts, classifiers, retrain_requests, retraining, runs, targets
from tasks.adapters import aws, retrains
from tasks.policy.governor import Answer
from tasks.policy.retrains import attempt
from tasks.reasons import ASKED_BY_MONITOR, Journal, Request
from tasks.records import Place
from tasks.settings import Settings

log = logging.getLogger(__name__)

DEPLOYMENT = "pipeline/on-drift"
_PATIENCE = timedelta(seconds=60)  # what the event has, to start a run that then asks
_STARTS = 5  # runs of one try that end before they ask


@task(cache_policy=NO_CACHE, task_run_name="retrains of {classifier}")
def revive(settings: Settings, classifier: str) -> str:
    """Close what a killed run left open and start one request that may begin; what was found.

    Events are lost while the Prefect server is down, and nothing runs a killed run again: the
    request in S3 outlives both.
    """
    chosen = classifiers.load(classifier, settings.classifiers_dir)
    place = targets.place_of(settings, chosen, None)
    waiting = retrains.waiting(aws.client("s3"), place.models_bucket, classifier)
    journal, _ = retraining.settle(place, chosen)
    found = "no retrain is asked for"
    for request in waiting:
        if journal.current and journal.current.fingerprint == request.fingerprint:
            found = f"a retrain is under way until {journal.current.until:%H:%M} UTC"
            continue
        if datetime.now(UTC) - request.at < _PATIENCE:
            found = f"{request.reason.kind} was noticed just now"
            continue
        if request.reason.kind not in ASKED_BY_MONITOR:
            retrain_requests.close(place, request.fingerprint, "its run ended before it began")
            continue
        ruling = retraining.rule(place, chosen, journal, request)
        found = f"{ruling.answer}: {ruling.reason}"
        if ruling.answer is Answer.START:
            return _start(place, journal, request)
    return found


def _start(place: Place, journal: Journal, request: Request) -> str:
    """One live run of this try; runs that ended before they asked are followed by another."""
    told = {"kind": request.reason.kind, "fingerprint": request.fingerprint}
    parameters: dict[str, object] = {"classifier": place.classifier, "reason": told}
    for number in range(_STARTS):
        key = f"{request.fingerprint}-{attempt(journal, request)}-{number}"
        run = runs.start(DEPLOYMENT, parameters, key)
        if run.state is None or not run.state.is_final():
            log.info("%s: %s is retrained by run %s", place.classifier, told, run.name)
            return f"started: {request.reason.kind}, run {run.name}"
    why = f"{_STARTS} runs of {DEPLOYMENT} ended before they began to retrain; the last: {run.name}"
    title = f"P1: {place.classifier} cannot be retrained"
    again = f"prefect deployment run 'pipeline/{place.classifier}'"
    alerts.notify(place, title, why, again, request.fingerprint)
    return why
