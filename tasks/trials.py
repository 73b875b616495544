"""A study and its trials, as they travel between tasks."""

from dataclasses import dataclass, field
from typing import Literal

from tasks.requests import Started
from tasks.search import Value

TrialState = Literal["RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING"]


@dataclass(frozen=True, slots=True)
class Study:
    """One search for hyperparameters: the same question is the same study, on every machine."""

    name: str
    classifier: str
    snapshot_sha256: str
    bucket: str
    folder: str
    objective: str
    run_id: str

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.folder}"

    @property
    def patch_uri(self) -> str:
        return f"{self.uri}/winner.patch"


@dataclass(frozen=True, slots=True)
class Bill:
    """When a trial's job ran, in seconds since 1970, and what SageMaker bills for it."""

    job: str
    began_s: float
    ended_s: float
    billable_s: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One set of hyperparameters and what came of it."""

    number: int
    state: TrialState
    values: dict[str, Value]
    began_s: float
    score: float | None = None
    curve: dict[int, float] = field(default_factory=dict)
    job: Started | None = None
    bill: Bill | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a study has used of its budget."""

    trials: int
    hours: float
    dollars: float | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a study has found: its best trial, and what the classifier file should say then."""

    study: Study
    winner: Trial | None
    before: dict[str, Value]
    changes: dict[str, Value]
    patch: str


@dataclass(frozen=True, slots=True)
class StudyResult:
    """How a study stands when its flow ends; the patch waits for a person to take it."""

    study: str
    trials: int
    winner: int
    score: float
    values: dict[str, Value]
    job: str
    patch_uri: str
