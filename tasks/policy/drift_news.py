"""Which drift people are told of, and in which words."""

from collections.abc import Sequence

from tasks.drift_records import DriftOutcome, DriftVerdict
from tasks.policy.drift_page import headline


def is_news(verdict: DriftVerdict, before: Sequence[DriftVerdict]) -> bool:
    """Whether people have to be told: of the first DETECTED of a row, and then once a day (UTC).

    A row ends with another version, another advice or an OK. `before` is in the order of windows.
    """
    if verdict.outcome is not DriftOutcome.DETECTED:
        return False
    if not before or _kind(before[-1]) != _kind(verdict):
        return True
    return before[-1].about.until.date() != verdict.about.until.date()


def subject(verdict: DriftVerdict) -> str:
    return f"{verdict.about.classifier}: drift, version {verdict.about.version}"


def message(verdict: DriftVerdict) -> str:
    """What was found, why, and what happens now."""
    next_step = {
        "retrain": "A retrain was asked for; the governor decides when.",
        "ask-for-labels": "Whether it hurts cannot be told: send true labels to POST /feedback.",
        "ignore": "It does not hurt, as far as can be told: nothing is retrained.",
    }
    return "\n".join([headline(verdict), *verdict.reasons, next_step[verdict.advice]])


def command(verdict: DriftVerdict) -> str:
    """What a person who wants it otherwise types; empty where a retrain was asked for."""
    if verdict.advice == "retrain":
        return ""
    return f"prefect deployment run 'pipeline/{verdict.about.classifier}'"


def _kind(verdict: DriftVerdict) -> tuple[str, str, str]:
    return verdict.outcome, verdict.about.bundle_digest, verdict.advice
