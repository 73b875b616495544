"""What is told of a retrain: to the release history, on its page, to a person."""

import logging

from tasks import alerts, decisions, retrain_requests
from tasks.adapters import aws, marks
from tasks.adapters import retrains as shelf
from tasks.policy import retrains
from tasks.policy.governor import Ruling
from tasks.reasons import Ending, Request, Run
from tasks.records import Place

log = logging.getLogger(__name__)


def decided(place: Place, action: str, request: Request, version: str, why: str) -> None:
    """What the governor or a person made of a request, in the release history."""
    told = {"kind": request.reason.kind, "asked_at": request.at.isoformat(timespec="seconds")}
    if evidence := request.reason.evidence:
        told |= {key: str(value) for key, value in evidence.model_dump(mode="json").items()}
    decisions.record_retrain(place, action, request.fingerprint, version, why, told)


def dropped(place: Place, request: Request, version: str, why: str) -> None:
    """Close a request for good, told by the one who closed it."""
    if retrain_requests.close(place, request.fingerprint, why):
        decided(place, "retrain-dropped", request, version, why)


def ended(place: Place, run: Run) -> None:
    """What others read of an end; whoever comes after a death here does it again."""
    if run.ending is not Ending.LOST:
        retrain_requests.close(place, run.fingerprint, f"{run.ending}: {run.why}")
    version = run.made or run.version
    told = {"kind": run.kind, "hours": f"{run.machine_hours:.2f}", "replaces": run.version}
    op_id = f"{run.fingerprint} {run.began.isoformat()}"
    decisions.record_retrain(place, f"retrain-{run.ending}", op_id, version, run.why, told)


def call_person(place: Place, request: Request, version: str, ruling: Ruling) -> None:
    """Once for what stopped it, however many ask.

    Told first and written down second: killed in between it is told twice rather than never.
    """
    s3, key = aws.client("s3"), f"{shelf.folder(place.classifier)}/governor/told"
    if marks.read(s3, place.models_bucket, key) == ruling.reason:
        return
    title = f"P1: {place.classifier} does not retrain by itself any more"
    if alerts.notify(place, title, ruling.reason, ruling.command):
        marks.write(s3, place.models_bucket, key, ruling.reason)
        decided(place, "retrain-stopped", request, version, ruling.reason)


def ruled(place: Place, request: Request | None, ruling: Ruling) -> None:
    """The ruling on a page of its own; the newest run's is on top."""
    name = place.classifier
    rows = {"answer": f"{ruling.answer}: {ruling.reason}"}
    if request:
        rows["asked for"] = f"{request.reason.kind}, since {retrains.when(request.at)}"
        if request.reason.note:
            rows["note"] = request.reason.note
    if request and (evidence := request.reason.evidence):
        rows["evidence"] = f"`{evidence.verdict_uri}`, about version {evidence.version}"
    if ruling.command:
        rows["next"] = f"`{ruling.command}`"
    alerts.publish_steps(f"retrain-{name}", f"{name}: retrain?", rows)
    log.info("%s: %s: %s", name, ruling.answer, ruling.reason)
