"""What a drift check found: frozen values that travel between policy, adapters and tasks."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

Hurting = Literal["yes", "no", "unknown"]
Advice = Literal["retrain", "ask-for-labels", "ignore"]
Severity = Literal["none", "low", "medium", "high"]


class DriftOutcome(StrEnum):
    """NO_DATA and ERROR say nothing about the texts: neither is ever "no drift"."""

    OK = "OK"
    SUSPECTED = "SUSPECTED"
    DETECTED = "DETECTED"
    NO_DATA = "NO_DATA"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Checked:
    """Which answers were looked at: of which version, and from when to when."""

    classifier: str
    version: str
    bundle_digest: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Signal:
    """One way to compare the window with the reference; effects are in 0 to 1."""

    name: str
    effect: float
    band: float  # 95 % of windows without drift, of the same sizes, stay below
    p: float
    corrected_p: float  # over all signals

    @property
    def excess(self) -> float:
        """The effect that chance does not explain; the largest one is the drift score."""
        return max(0.0, self.effect - self.band)


@dataclass(frozen=True, slots=True)
class Moved:
    """A class that is predicted more or less often: its share of all answers."""

    label: str
    reference: float
    window: float


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How right the answers of the window are, and how that is known."""

    value: float
    low: float  # 95 %
    high: float
    rows: int
    source: Literal["feedback", "confidence"]


@dataclass(frozen=True, slots=True)
class DriftVerdict:
    """What decides; `score` and `p_value` are nan-free: 0 and 1 where nothing was compared."""

    outcome: DriftOutcome
    about: Checked
    rows: int  # logged in the window
    different: int  # different texts among them, which are what is compared
    reference_rows: int
    score: float = 0.0
    p_value: float = 1.0  # the smallest corrected one
    severity: Severity = "none"
    signals: tuple[Signal, ...] = ()  # strongest first
    classes_moved: tuple[Moved, ...] = ()  # largest change first
    reference_accuracy: float | None = None
    accuracy: Accuracy | None = None
    hurting: Hurting = "unknown"
    advice: Advice = "ignore"
    reasons: tuple[str, ...] = ()
    new_terms: tuple[str, ...] = ()
    novel: tuple[str, ...] = ()  # redacted
