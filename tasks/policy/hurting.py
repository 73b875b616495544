"""Whether drift hurts: how accurate the window's answers are, by labels or else by confidence.

The estimate holds as long as the model is as right at a confidence as it was on the reference
rows that are like the window's. So it is made twice, with all reference rows alike and with those
counting more that are like the window's; the interval covers both, and where they disagree it is
wide. "yes": something is lost for certain, and most likely more than `accuracy_drop`. "no": less
than that is lost, for certain. Confidence also moves with strange texts whose answers stay right: a
model of book reviews is as right on those of other goods, and seems to lose 2 to 6 points
(bench.drift_quality). The estimate is taken to be off by so much: a "yes" must show that much more,
and a "no" is certain only that the loss is below `accuracy_drop` and that much.

Not covered: the same texts that mean another class now. Only labels tell.
"""

from dataclasses import dataclass, replace

import numpy as np

from tasks.drift_policy import Drift
from tasks.drift_records import Accuracy, Advice, DriftOutcome, DriftVerdict, Hurting
from tasks.policy import calibration
from tasks.policy.effects import Floats
from tasks.policy.feedback import MINIMUM, VersionAccuracy
from tasks.policy.signals import Features

_SIDES = (2.5, 97.5)
_OFF = 0.06


@dataclass(frozen=True, slots=True)
class Loss:
    """What the accuracy lost since the reference, 0.1 is ten points, with its 95 % interval."""

    value: float
    low: float
    high: float
    before: float
    now: Accuracy

    def hurting(self, most: float) -> Hurting:
        off = 0.0 if self.now.source == "feedback" else _OFF
        if self.low > 0 and self.value > most + off:
            return "yes"
        return "no" if self.value < most and self.high < most + off else "unknown"

    def told(self) -> str:
        how = "labels" if self.now.source == "feedback" else "estimated from confidence"
        return (
            f"accuracy {self.now.value:.1%} ({self.now.low:.1%} to {self.now.high:.1%}; {how},"
            f" {self.now.rows:,} rows), {self.before:.1%} on the reference"
        )


def judged(
    verdict: DriftVerdict,
    reference: Features,
    window: Features,
    policy: Drift,
    feedback: VersionAccuracy | None,
    seed: int,
) -> DriftVerdict:
    """The verdict with the window's accuracy, whether it hurts, and what is to be done."""
    if reference.truth is None:
        reason = "the reference has no true labels: whether it hurts cannot be told"
        return replace(verdict, reasons=(*verdict.reasons, reason))
    loss = estimated(reference, window, seed)
    if feedback is not None and feedback.labelled >= MINIMUM:
        known = labelled(loss.before, feedback)
        # Few labels leave open what the many confidences may tell.
        if known.hurting(policy.accuracy_drop) != "unknown":
            loss = known
    hurting = loss.hurting(policy.accuracy_drop)
    return replace(
        verdict,
        reference_accuracy=loss.before,
        accuracy=loss.now,
        hurting=hurting,
        advice=advice(verdict.outcome, hurting, loss.now.source == "feedback", policy),
        reasons=(*verdict.reasons, loss.told()),
    )


def estimated(reference: Features, window: Features, seed: int) -> Loss:
    """The loss as the answers' confidence tells it; the reference must have true labels."""
    old, new = calibration.fewer(reference, seed), calibration.fewer(window, seed)
    alike = calibration.estimate(old, new, np.ones(len(old)), seed)
    weights = calibration.likeness(old, new)
    like = calibration.estimate(old, new, weights, seed)
    lost = [one.drawn_reference - one.drawn_window for one in (alike, like)]
    low, high = _covered(lost)
    least, most = _covered([one.drawn_window for one in (alike, like)])
    now = (alike.window + like.window) / 2
    accuracy = Accuracy(now, least, most, len(window), "confidence")
    return Loss(alike.reference - now, low, high, alike.reference, accuracy)


def labelled(before: float, feedback: VersionAccuracy) -> Loss:
    """The loss as callers' labels tell it."""
    low, high = feedback.interval
    now = Accuracy(feedback.accuracy, low, high, feedback.labelled, "feedback")
    return Loss(before - feedback.accuracy, before - high, before - low, before, now)


def advice(outcome: DriftOutcome, hurting: Hurting, by_labels: bool, policy: Drift) -> Advice:
    """What is to be done beside telling people; labels that prove a loss need no drift."""
    if policy.on_drift == "alert" or outcome in (DriftOutcome.NO_DATA, DriftOutcome.ERROR):
        return "ignore"
    if hurting == "yes" and by_labels:
        return "retrain"
    if outcome != DriftOutcome.DETECTED:
        return "ask-for-labels" if hurting == "yes" else "ignore"
    if policy.on_drift == "retrain" or hurting == "yes":
        return "retrain"
    return "ask-for-labels" if hurting == "unknown" else "ignore"


def _covered(draws: list[Floats]) -> tuple[float, float]:
    sides = np.array([np.percentile(one, _SIDES) for one in draws])
    return float(sides[:, 0].min()), float(sides[:, 1].max())
