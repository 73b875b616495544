"""Steps that follow from a drift check: the wish for a retrain, the event, word to people."""

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from prefect import State, task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from prefect.states import Completed

from tasks import alerts, retrain_requests
from tasks.classifiers import Classifier
from tasks.drift import Check
from tasks.drift_records import DriftOutcome, DriftVerdict
from tasks.policy import drift_news
from tasks.policy.drift_page import headline
from tasks.reasons import Evidence, Reason
from tasks.records import Place

EVENT = "model.drift.detected"
EXIT_CODES = {
    DriftOutcome.OK: 0,
    DriftOutcome.SUSPECTED: 0,
    DriftOutcome.ERROR: 1,
    DriftOutcome.DETECTED: 2,
    DriftOutcome.NO_DATA: 3,
}


def request_retrain(place: Place, chosen: Classifier, check: Check, verdict: DriftVerdict) -> str:
    """Ask for a retrain where drift advises one; the fingerprint of the request, or empty.

    Kept before anybody hears of it: events may be lost, this cannot.
    """
    if verdict.outcome is not DriftOutcome.DETECTED or verdict.advice != "retrain":
        return ""
    evidence = Evidence.of(verdict, check.verdict_uri)
    reason = Reason(kind="drift", evidence=evidence, note=headline(verdict))
    return retrain_requests.request_retrain(place, chosen.retrain, reason).fingerprint


def request_for_loss(place: Place, chosen: Classifier, check: Check, verdict: DriftVerdict) -> str:
    """The same where labels prove that accuracy was lost though nothing drifted."""
    if verdict.advice != "retrain" or verdict.accuracy is None:
        return ""
    about = verdict.about
    evidence = Evidence(
        outcome=DriftOutcome.DETECTED,
        version=about.version,
        verdict_uri=check.verdict_uri,
        score=verdict.accuracy.value,
        since=about.since,
        until=about.until,
    )
    reason = Reason(kind="accuracy", evidence=evidence, note=headline(verdict))
    return retrain_requests.request_retrain(place, chosen.retrain, reason).fingerprint


@task(cache_policy=NO_CACHE)
def announce(check: Check, verdict: DriftVerdict, fingerprint: str) -> None:
    """Say in Prefect that the texts drifted; the same check says it with the same event id."""
    about = verdict.about
    emit_event(
        event=EVENT,
        resource={
            "prefect.resource.id": f"perennial.model.{about.classifier}",
            "prefect.resource.name": about.classifier,
            "perennial.advice": verdict.advice,
        },
        payload={
            "classifier": about.classifier,
            "version": about.version,
            "fingerprint": fingerprint,
            "score": verdict.score,
            "verdict_uri": check.verdict_uri,
            "advice": verdict.advice,
        },
        id=uuid5(NAMESPACE_URL, check.verdict_uri),
    )


def tell_drift(
    place: Place, check: Check, verdict: DriftVerdict, before: Sequence[DriftVerdict]
) -> None:
    """Tell people of drift that they do not know of yet, and once a day as long as it lasts."""
    if drift_news.is_news(verdict, before):
        subject, message = drift_news.subject(verdict), drift_news.message(verdict)
        alerts.notify(place, subject, message, drift_news.command(verdict), about=check.name)


def tell_broken(place: Place, reason: str) -> None:
    """The check could not tell: that is told as what it is, and never asks for a retrain."""
    title = f"{place.classifier}: the drift check is broken, nobody watches its texts"
    alerts.notify(place, title, reason, f"prefect deployment run 'drift-check/{place.classifier}'")


def conclude(verdict: DriftVerdict) -> State[None]:
    """How the run ends: every outcome but ERROR is a check that was done."""
    return Completed(name=str(verdict.outcome), message=headline(verdict))


def exit_code(state: State[Any]) -> int:
    """0 no drift or a suspicion, 2 drift, 3 no data, 1 when the check itself failed."""
    known = {str(outcome): code for outcome, code in EXIT_CODES.items()}
    return known.get(state.name or "", 1) if state.is_completed() else 1
