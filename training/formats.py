"""What one side writes and another reads. Needs no torch, no AWS, no Prefect."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class SnapshotFile(BaseModel, frozen=True):
    """One split as a gzipped JSON-lines file of {"text", "label"} rows."""

    name: str
    rows: int = Field(ge=0)
    sha256: str
    labels: dict[str, int]


class FeedbackRows(BaseModel, frozen=True):
    """Answers of the endpoint that callers labelled, among the rows of a snapshot."""

    since: datetime
    until: datetime
    labels: int = Field(ge=0, description="requests that were labelled from `since` to `until`")
    rows: dict[Split, int] = Field(description="rows of each split that are such answers")


class SnapshotManifest(BaseModel, frozen=True):
    """A data set that never changes; `manifest.json` in its folder, written last."""

    classifier: str
    sha256: str
    labels: tuple[str, ...]
    files: dict[Split, SnapshotFile]
    source: str
    rows_read: int
    dropped: dict[str, int]
    feedback: FeedbackRows | None = None

    def to_bytes(self) -> bytes:
        """The bytes of manifest.json: without feedback the same as before there was any."""
        return self.model_dump_json(indent=1, exclude_none=True).encode()


# What answers: the model itself in fp32, or its graph quantised to eight bits.
Engine = Literal["torch", "openvino-int8"]


class BundleManifest(BaseModel, frozen=True):
    """All that a model is at serving time; `manifest.json` in the bundle folder."""

    schema_version: Literal[1] = 1
    classifier: str
    task: str
    base_model: str
    labels: tuple[str, ...]
    max_length: int = Field(ge=8, le=512, description="tokens a text is cut to")
    engine: Engine = "torch"
    engine_note: str | None = Field(None, description="why the engine is the slower, precise one")
    total_parameters: int
    files: dict[str, str] = Field(description="file name -> SHA-256, manifest.json itself excepted")
    hyperparameters: dict[str, str | int | float | bool]
    metrics: dict[str, float]
    snapshot_sha256: str
    git_sha: str
    job_name: str

    def to_bytes(self) -> bytes:
        """The canonical bytes of manifest.json; the digest is over these."""
        # A field that is not set is left out: bundles from before it was added keep their bytes.
        fields = self.model_dump(mode="json", exclude_none=True)
        return json.dumps(fields, sort_keys=True, indent=1).encode()

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.to_bytes()).hexdigest()


class ClassScore(BaseModel, frozen=True):
    precision: float
    recall: float
    f1: float
    support: int


class Latency(BaseModel, frozen=True):
    """How long a call to the model took, over `calls` calls of `texts` texts each."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    calls: int = 0
    texts: int = 1


class Bin(BaseModel, frozen=True):
    """The answers whose confidence is in one of the 15 equal parts of 0 to 1."""

    rows: int
    confidence: float = Field(description="mean of its rows; 0 without rows")
    accuracy: float = Field(description="share of its rows that is right; 0 without rows")


class ModelScore(BaseModel, frozen=True):
    """One bundle on one frozen split, scored by the code that serves."""

    bundle_digest: str
    accuracy: float
    macro_f1: float
    ece: float = Field(description="expected calibration error, 15 equal-width bins")
    classes: dict[str, ClassScore]
    confusion: tuple[tuple[int, ...], ...] = Field(description="rows: truth, columns: answer")
    latency: Latency = Field(description="one text a call")
    rows_per_s: float
    batch_latency: Latency | None = None
    bins: tuple[Bin, ...] = Field((), description="confidence from 0 to 1")


class Paired(BaseModel, frozen=True):
    """Both models on the same rows."""

    both_right: int
    only_challenger: int
    only_champion: int
    both_wrong: int


class Slice(BaseModel, frozen=True):
    """Part of the test rows: how often each model is right on it."""

    name: str
    rule: str
    rows: int
    adequate: bool = Field(description="enough rows to tell something from")
    right: int
    champion_right: int | None = None
    only_challenger: int = Field(0, description="rows that only the challenger has right")
    only_champion: int = Field(0, description="rows that only the champion has right")


class Answers(BaseModel, frozen=True):
    """Label numbers of each test row, in the order of the split: what a bootstrap resamples."""

    truth: tuple[int, ...]
    challenger: tuple[int, ...]
    champion: tuple[int, ...] = ()


class Evaluation(BaseModel, frozen=True):
    """What the processing job writes to `evaluation.json`."""

    classifier: str
    snapshot_sha256: str
    rows: int
    labels: tuple[str, ...]
    challenger: ModelScore
    champion: ModelScore | None = None
    paired: Paired | None = None
    answers: Answers | None = None
    slices: tuple[Slice, ...] = ()
    champion_refused: str = Field("", description="why a champion that is there was not scored")


@dataclass(frozen=True, slots=True)
class Epoch:
    """After one epoch, on the validation rows but for the first loss."""

    epoch: int
    train_loss: float
    loss: float
    accuracy: float
    macro_f1: float


class TrainingCurve(BaseModel, frozen=True):
    """What the training job's `metrics.json` tells of the way to its result."""

    best_epoch: int = Field(description="whose weights were kept")
    curve: tuple[Epoch, ...]


_PROGRESS = re.compile(
    r"epoch (?P<epoch>\d+)/(?P<epochs>\d+) step (?P<step>\d+)/(?P<steps>\d+)"
    r" loss (?P<loss>[\d.]+|nan) (?P<rows_per_s>[\d.]+) rows/s eta (?P<eta_s>\d+) s"
)


@dataclass(frozen=True, slots=True)
class Progress:
    """One line that the training job prints and the flow reads back from CloudWatch Logs."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    rows_per_s: float
    eta_s: int

    def line(self) -> str:
        return (
            f"epoch {self.epoch}/{self.epochs} step {self.step}/{self.steps} loss {self.loss:.4f}"
            f" {self.rows_per_s:.1f} rows/s eta {self.eta_s} s"
        )

    @classmethod
    def parse(cls, line: str) -> "Progress | None":
        """The progress that a log line tells, None for any other line."""
        if not (found := _PROGRESS.search(line)):
            return None
        numbers = found.groupdict()
        return cls(
            epoch=int(numbers["epoch"]),
            epochs=int(numbers["epochs"]),
            step=int(numbers["step"]),
            steps=int(numbers["steps"]),
            loss=float(numbers["loss"]),
            rows_per_s=float(numbers["rows_per_s"]),
            eta_s=int(numbers["eta_s"]),
        )


_EPOCH = re.compile(
    r"epoch (?P<epoch>\d+)/(?P<epochs>\d+) done: train loss (?P<train_loss>[\d.]+|nan|inf),"
    r" validation accuracy (?P<accuracy>[\d.]+|nan), macro-F1 (?P<macro_f1>[\d.]+|nan)"
)


@dataclass(frozen=True, slots=True)
class EpochLine:
    """The line that the training job prints after each epoch; a study cuts a job short by it."""

    epoch: int
    epochs: int
    train_loss: float
    accuracy: float
    macro_f1: float

    def line(self) -> str:
        return (
            f"epoch {self.epoch}/{self.epochs} done: train loss {self.train_loss:.4f},"
            f" validation accuracy {self.accuracy:.4f}, macro-F1 {self.macro_f1:.4f}"
        )

    @classmethod
    def parse(cls, line: str) -> "EpochLine | None":
        """The scores that a log line tells, None for any other line."""
        if not (found := _EPOCH.search(line)):
            return None
        numbers = found.groupdict()
        return cls(
            epoch=int(numbers["epoch"]),
            epochs=int(numbers["epochs"]),
            train_loss=float(numbers["train_loss"]),
            accuracy=float(numbers["accuracy"]),
            macro_f1=float(numbers["macro_f1"]),
        )
