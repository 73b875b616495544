"""The wish for a retrain, kept in S3 until a run answers it or the governor never will."""

from datetime import UTC, datetime

from tasks import releases
from tasks.adapters import aws
from tasks.adapters import retrains as shelf
from tasks.errors import BadInput
from tasks.policy import retrains
from tasks.reasons import MEASURED, End, Journal, Reason, Request
from tasks.records import Place
from tasks.retrain_policy import Retrain
from tasks.retries import live


@live
def request_retrain(place: Place, limits: Retrain, reason: Reason) -> Request:
    """Keep the wish for a retrain in S3, where no server that is down can lose it.

    The same of one episode is one request, whoever asks how often. Only evidence makes drift and
    accuracy a request: BadInput without. Announce it by the event after this, not before.
    """
    if reason.kind in MEASURED and reason.evidence is None:
        raise BadInput(f"a retrain for {reason.kind} needs the evidence of a check that DETECTED")
    now, bucket, s3 = datetime.now(UTC), place.models_bucket, aws.client("s3")
    journal, _ = shelf.read(s3, bucket, place.classifier)
    name = retrains.fingerprint(place.classifier, reason, serving(place), journal, limits, now)
    kept = reason.model_copy(update={"fingerprint": name})
    at = _first_said(place, kept, journal, limits, now)
    return shelf.ask(
        s3, bucket, Request(fingerprint=name, classifier=place.classifier, reason=kept, at=at)
    )


def found(place: Place, limits: Retrain, reason: Reason, holder: str) -> Request | None:
    """What this run was started for; None when nobody asked for it."""
    if reason.fingerprint:
        s3 = aws.client("s3")
        return shelf.find(s3, place.models_bucket, place.classifier, reason.fingerprint)
    if reason.kind in MEASURED and reason.evidence is None:
        return None
    if reason.kind == "manual":  # each time a person asks it is another wish
        reason = reason.model_copy(update={"note": f"{reason.note} {holder}".strip()})
    return request_retrain.fn(place, limits, reason)


def close(place: Place, fingerprint: str, told: str) -> bool:
    end = End(fingerprint=fingerprint, at=datetime.now(UTC), told=told)
    return shelf.close(aws.client("s3"), place.models_bucket, place.classifier, end)


def serving(place: Place) -> str:
    """The champion by the journal of releases, empty before the first."""
    release = releases.read_release.fn(place)
    return release.champion.version if release and release.champion else ""


def _first_said(
    place: Place, reason: Reason, journal: Journal, limits: Retrain, now: datetime
) -> datetime:
    """A person who starts again what broke wants the same: its rows are found, and so its job."""
    broken = retrains.broken(journal, limits, now) if reason.kind == "manual" else None
    if broken is None:
        return now
    s3 = aws.client("s3")
    earlier = shelf.find(s3, place.models_bucket, place.classifier, broken.fingerprint)
    return earlier.at if earlier else now
