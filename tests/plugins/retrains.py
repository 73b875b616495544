"""`asked`: a request for a retrain as a check, a person or the calendar makes it."""

from datetime import UTC, datetime, timedelta

from tasks.drift_records import DriftOutcome
from tasks.policy import retrains
from tasks.reasons import MEASURED, Evidence, Journal, Reason, Request
from tasks.retrain_policy import Retrain

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIMITS = Retrain()


def asked(kind="drift", version="3", at=NOW, journal=Journal(), limits=LIMITS, note=""):
    evidence = None
    if kind in MEASURED:
        evidence = Evidence(
            outcome=DriftOutcome.DETECTED,
            version=version,
            verdict_uri="s3://m/verdict.json",
            score=0.41,
            since=at - 24 * HOUR,
            until=at,
        )
    reason = Reason(kind=kind, evidence=evidence, note=note)
    name = retrains.fingerprint("news", reason, version, journal, limits, at)
    return Request(fingerprint=name, classifier="news", reason=reason, at=at)
