"""What a version must show on requests that callers have sent before it may have callers.

What it answers is compared with what the champion answered then; how fast and how often without a
fault with limits alone, as the champion is not asked again: its callers would wait.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.policy import canary
from tasks.policy.canary import Finding, Limits
from tasks.records import Answer, Arm, Served

_OTHER = "other answers than the champion"


@dataclass(frozen=True, slots=True)
class Replayed:
    """The label that the champion gave, empty when nobody knows, and what the version answers."""

    champion: str
    answer: Answer


def judge(
    asked: Sequence[Replayed], wanted: Served, slow_ms: float, least: float, limits: Limits
) -> Finding:
    """Errors, slow answers and agreement, after any number of requests, each text once.

    slow_ms: what no more than `max_slow_share` of the answers may take. least: the share of
    answers that must be the champion's. FAIL may be said early, PASS of `min_requests` or more.
    """
    live = canary.judge(_arm(asked, wanted, slow_ms), None, limits)
    known = [one for one in asked if one.champion and _well(one.answer, wanted)]
    if not known:
        told = "the log holds no answers of the champion: agreement is not judged"
        return canary.together(live, Finding(live.outcome, (told,), {}))
    other = sum(_label(one.answer) != one.champion for one in known)
    agreement = canary.judge_share(_OTHER, other, len(known), 1 - least, limits)
    return canary.together(live, agreement)


def _arm(asked: Sequence[Replayed], wanted: Served, slow_ms: float) -> Arm:
    """A request is known to be good: whatever is not answered is the version's fault."""
    took = [1000 * one.answer.seconds for one in asked if _well(one.answer, wanted)]
    slow = sum(one > slow_ms for one in took)
    times = [float(one) for one in np.percentile(took, (50, 95, 99))] if took else [0.0] * 3
    return Arm(wanted.version, len(asked), len(asked) - len(took), slow, *times)


def _well(answer: Answer, wanted: Served) -> bool:
    told = (answer.status, answer.version, answer.digest)
    return told == (200, wanted.version, wanted.bundle_digest)


def _label(answer: Answer) -> str:
    return str(json.loads(answer.body).get("prediction", ""))
