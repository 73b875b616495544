"""Why a classifier is trained again, and what is remembered of it: records kept as JSON in S3."""

from enum import StrEnum
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, Field

from tasks.drift_records import DriftOutcome, DriftVerdict

Kind = Literal["drift", "accuracy", "new-data", "manual", "weekly"]

MEASURED: tuple[Kind, ...] = ("drift", "accuracy")  # only evidence makes such a request
ASKED_BY_MONITOR: tuple[Kind, ...] = (*MEASURED, "new-data")  # kept until somebody acts on it


class _Record(BaseModel, frozen=True, extra="forbid"):
    pass


class Evidence(_Record):
    """What a check measured. A check that broke or saw no rows has no outcome that fits here."""

    outcome: Literal[DriftOutcome.DETECTED]
    version: str = Field(min_length=1, description="which served when it was measured")
    verdict_uri: str = Field(min_length=1, description="s3:// URI of the verdict")
    score: float | None = Field(None, description="drift score, or accuracy; 0 to 1")
    since: AwareDatetime = Field(description="the window that was looked at")
    until: AwareDatetime

    @classmethod
    def of(cls, verdict: DriftVerdict, uri: str) -> Self:
        """What this verdict says; ValidationError unless its outcome is DETECTED."""
        about = verdict.about
        return cls.model_validate(
            {
                "outcome": verdict.outcome,
                "version": about.version,
                "verdict_uri": uri,
                "score": verdict.score,
                "since": about.since,
                "until": about.until,
            }
        )


class Reason(_Record):
    """Why a run trains; the form that the Prefect UI shows."""

    kind: Kind = Field("manual", description="manual: a person wants it, no limit applies")
    evidence: Evidence | None = Field(None, description="of drift and accuracy")
    fingerprint: str = Field("", description="the request in S3 that holds the whole reason")
    note: str = Field("", max_length=1000, description="in words")

    @property
    def told(self) -> str:
        """The reason in a line, with its number."""
        if self.evidence is None:
            return self.kind
        score = "" if self.evidence.score is None else f" {self.evidence.score:.3f}"
        return f"{self.kind}{score} of version {self.evidence.version}"


class Request(_Record):
    """Somebody wants a retrain. `at` is when it was first said; the fingerprint is its name."""

    fingerprint: str
    classifier: str
    reason: Reason
    at: AwareDatetime


class Ending(StrEnum):
    """What became of a retrain.

    PROMOTED: its version serves. UNCHANGED: it came to the version that served already. REFUSED: a
    gate said no. FAILED: it broke. LOST: its run was killed and the request is to be tried again.
    """

    PROMOTED = "promoted"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    FAILED = "failed"
    LOST = "lost"


class Run(_Record):
    """One retrain. `until` is the lease of its holder: by then it writes again, or is dead."""

    fingerprint: str
    kind: Kind
    version: str = Field(description="which served when it began; empty: none")
    holder: str
    began: AwareDatetime
    until: AwareDatetime
    machine_hours: float = Field(0, description="that its jobs took, at most")
    resumed: bool = Field(False, description="a person said that the monitor may go on")
    ended: AwareDatetime | None = None
    ending: Ending | None = None
    made: str = Field("", description="the version that it made")
    why: str = ""

    @property
    def over(self) -> bool:
        """Whether it came to an end of its own."""
        return self.ending not in (None, Ending.LOST)


class Journal(_Record):
    """The newest retrains of a classifier in order; the last one may be under way."""

    generation: int = 0
    runs: tuple[Run, ...] = ()

    @property
    def current(self) -> Run | None:
        return self.runs[-1] if self.runs and self.runs[-1].ended is None else None

    @property
    def ended(self) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if run.over)


class End(_Record):
    """Why a request needs nobody any more."""

    fingerprint: str
    at: AwareDatetime
    told: str
