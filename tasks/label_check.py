"""Steps that ask for a retrain because of callers' labels: too many say wrong, or many are new."""

import logging
from datetime import datetime, timedelta

from pydantic import TypeAdapter

from tasks import retrain_requests
from tasks.adapters import aws, results, snapshots
from tasks.classifiers import Classifier
from tasks.drift_records import DriftOutcome
from tasks.errors import NotFound
from tasks.feedback import feedback_accuracy, new_labels
from tasks.policy.feedback import FeedbackAccuracy, judged
from tasks.reasons import Evidence, Reason
from tasks.records import Place, Served
from tasks.retries import live

log = logging.getLogger(__name__)

_ACCURACY = TypeAdapter(FeedbackAccuracy)


def ask_by_labels(
    place: Place, chosen: Classifier, data_bucket: str, served: Served, until: datetime
) -> tuple[str, ...]:
    """The fingerprints of the retrains that the labels up to now ask for; often none."""
    asked = (
        _for_accuracy(place, chosen, data_bucket, served, until),
        _for_new_labels(place, chosen, data_bucket, until),
    )
    return tuple(filter(None, asked))


def _for_accuracy(
    place: Place, chosen: Classifier, data_bucket: str, served: Served, until: datetime
) -> str:
    policy = chosen.feedback
    since = until - timedelta(days=policy.window_days)
    found = feedback_accuracy(data_bucket, chosen.name, since, until)
    mine = found.of(served.bundle_digest)
    threshold = policy.accuracy or chosen.gates.accuracy
    below, why = judged(mine, threshold, policy.minimum_labels)
    log.info("%s: %s", chosen.name, why)
    if mine is None or not below:
        return ""
    evidence = Evidence(
        outcome=DriftOutcome.DETECTED,
        version=served.version,
        verdict_uri=keep_accuracy(place, found),
        score=mine.accuracy,
        since=since,
        until=until,
    )
    reason = Reason(kind="accuracy", evidence=evidence, note=why)
    return retrain_requests.request_retrain(place, chosen.retrain, reason).fingerprint


def _for_new_labels(place: Place, chosen: Classifier, data_bucket: str, until: datetime) -> str:
    wanted = chosen.feedback.new_labels
    if not wanted:
        return ""
    window = chosen.feedback.window(until)
    known = learned_until(data_bucket, chosen.name)
    since = max(window.since, known) if known else window.since
    if since >= until:
        return ""
    count = new_labels(data_bucket, chosen.name, window.model_copy(update={"since": since}))
    log.info("%s: %d of %d new labels since %s", chosen.name, count, wanted, since)
    if count < wanted:
        return ""
    # The same words at each look, for they name the request.
    note = f"{wanted} answers or more were labelled since " + (
        f"{known:%Y-%m-%d %H:%M} UTC" if known else "the first"
    )
    reason = Reason(kind="new-data", note=note)
    return retrain_requests.request_retrain(place, chosen.retrain, reason).fingerprint


@live
def keep_accuracy(place: Place, found: FeedbackAccuracy) -> str:
    """Keep what was measured, as evidence; the URI of it. Writing twice is the same as once."""
    key = f"drift/{place.classifier}/accuracy/{found.until:%Y%m%dT%H%M%SZ}.json"
    aws.client("s3").put_object(
        Bucket=place.models_bucket,
        Key=key,
        Body=_ACCURACY.dump_json(found, indent=1),
        ContentType="application/json",
    )
    return f"s3://{place.models_bucket}/{key}"


@live
def learned_until(bucket: str, classifier: str) -> datetime | None:
    """Until when labels are in the newest data set; None when there are none in it."""
    s3 = aws.client("s3")
    try:
        newest = snapshots.latest(s3, bucket, classifier)
    except NotFound:
        return None
    feedback = results.data(s3, newest.uri).feedback
    return feedback.until if feedback else None
