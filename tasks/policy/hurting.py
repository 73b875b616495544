"""Whether drift hurts: how accurate the window's answers are, known from labels or estimated."""

from tasks.drift_policy import Drift
from tasks.drift_records import DriftVerdict
from tasks.policy.feedback import VersionAccuracy
from tasks.policy.signals import Features


def judged(
    verdict: DriftVerdict,
    reference: Features,
    window: Features,
    policy: Drift,
    feedback: VersionAccuracy | None,
    seed: int,
) -> DriftVerdict:
    """The verdict with the window's accuracy, whether it hurts, and what is to be done."""
    return verdict
