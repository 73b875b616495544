"""A classifier file as one frozen value; every key has bounds, every mistake names file and key."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from tasks.capture_policy import Capture
from tasks.drift_policy import Drift
from tasks.errors import BadConfig
from tasks.feedback_policy import Feedback
from tasks.retrain_policy import Retrain
from tasks.search import Tuning
from tasks.strategy import Rollout

Share = Annotated[float, Field(ge=0, le=1)]
Target = Literal["ec2", "sagemaker", "serverless"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Hyperparameters(_Section):
    """Keys are the hyperparameters of the SageMaker job, letter by letter."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=lambda name: name.replace("_", "-"),
        populate_by_name=True,
    )

    model_name: str = Field(
        "bert-base-uncased",
        min_length=1,
        description="hub id, s3:// URI of a folder, local folder, or `offline` for the MiniLM",
    )
    max_length: int = Field(256, ge=8, le=512)
    num_train_epochs: int = Field(3, ge=1, le=50)
    per_device_train_batch_size: int = Field(8, ge=1, le=512)
    learning_rate: float = Field(2e-5, gt=0, le=1e-2)
    weight_decay: float = Field(0.01, ge=0, le=1)
    warmup_steps: int = Field(500, ge=0, le=100_000)
    seed: int = Field(42, ge=0)


class Files(_Section):
    """How files of this classifier look, wherever they lie."""

    format: Literal["triple-colon", "csv", "tsv", "jsonl"]
    columns: tuple[str, ...] = Field(min_length=2, description="in order; names of keys for jsonl")
    label: str
    text: tuple[str, ...] = Field(
        min_length=1, description="columns joined with a space; the last one must not be empty"
    )
    id: str = Field("", description="column that identifies a row; empty: none")
    header: bool = Field(False, description="the first record names the columns, in any order")
    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    train: str = Field(description="file name or pattern in a folder, S3 prefix")
    test: str = Field("", description="same, empty: the test split is cut from train")
    codes: dict[str, str] = Field({}, description="label as written in the file -> label")

    @model_validator(mode="after")
    def _columns_exist(self) -> Self:
        known = set(self.columns)
        wanted = {self.label, *self.text, *([self.id] if self.id else [])}
        if missing := sorted(wanted - known):
            raise ValueError(f"columns {missing} are not among {sorted(known)}")
        return self


class Hub(_Section):
    """How the Hugging Face data set looks; used when the source is hub://."""

    text: tuple[str, ...] = Field(("text",), min_length=1)
    label: str = "label"
    train: str = "train"
    test: str = "test"
    codes: dict[str, str] = {}

    @property
    def files(self) -> Files:
        """The same rows as JSON lines, the shape that hub and sample rows are kept in here."""
        return Files(
            format="jsonl",
            columns=tuple(dict.fromkeys((*self.text, self.label))),
            label=self.label,
            text=self.text,
            train=self.train,
            test=self.test,
            codes=self.codes,
        )


class Data(_Section):
    source: str = Field(
        pattern=r"^(sample://|hub://|s3://|https?://|/|\.{0,2}/|[A-Za-z0-9_.-]+(/|$))",
        description="sample://NAME, hub://ID, s3://BUCKET/PREFIX, http(s)://FILE or a local path",
    )
    labels: tuple[str, ...] = Field(min_length=2)
    sample_size: int = Field(5000, ge=20, description="most training rows of the source")
    test_size: int = Field(2000, ge=20, description="most test rows used")
    validation_share: float = Field(0.1, gt=0, le=0.4)
    test_share: float = Field(0.1, gt=0, le=0.4, description="used when there is no test file")
    max_drop_fraction: Share = 0.05
    max_template_share: Share = Field(
        0.2, description="most training rows that may hold one and the same phrase of one class"
    )
    max_chars: int = Field(100_000, ge=100)
    files: Files
    hub: Hub = Hub()

    @model_validator(mode="after")
    def _codes_are_labels(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must be different from each other")
        for where, codes in (("files", self.files.codes), ("hub", self.hub.codes)):
            if wrong := sorted(set(codes.values()) - set(self.labels)):
                raise ValueError(f"{where}.codes name {wrong}, which are not among the labels")
        return self


class Training(_Section):
    instance_type: str = Field("ml.m5.xlarge", pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")
    instance_count: int = Field(1, ge=1, le=16)
    use_spot: bool = False
    max_runtime_s: int = Field(3600, ge=60, le=432_000)
    hyperparameters: Hyperparameters = Hyperparameters()


class Gates(_Section):
    """What a challenger must show on the frozen test split before it may go out."""

    accuracy: Share = Field(0.85, description="floor; low where one class is most of the rows")
    accuracy_target: Share = Field(0.90, description="told when it is missed, never blocking")
    macro_f1: Share = Field(
        0.0, description="floor in which a rare class counts as much as a common one"
    )
    class_recall: Share = Field(0.0, description="floor of each class with 20 test rows or more")
    minimum_rows: int = Field(200, ge=1, description="fewer test rows: INCONCLUSIVE")
    metric: Literal["accuracy", "macro_f1"] = Field(
        "accuracy", description="compared with the champion's; macro_f1 for imbalanced classes"
    )
    rule: Literal["better", "not-worse"] = Field(
        "better",
        description="better: must be shown to beat the champion; not-worse: shown to lose less than"
        " `margin`, for retraining on fresh rows where standing still is loss enough",
    )
    margin: float = Field(
        0.01, gt=0, le=0.2, description="what not-worse lets the metric lose to the champion"
    )
    class_margin: float = Field(
        0.02,
        gt=0,
        le=0.2,
        description="recall that a class may lose, by either rule; classes with too few test rows"
        " to tell are reported (about 2,200 rows of the class, see tasks/policy/regressions.py)",
    )


class Serving(_Section):
    target: Target = "ec2"
    instance_type: str = "ml.m5.large"
    max_chars: int = Field(20_000, ge=1, le=1_000_000)
    smoke_p50_ms: float = Field(
        2000, gt=0, le=60_000, description="slower lone requests do not pass the smoke test"
    )
    serverless_memory_mb: Literal[1024, 2048, 3072, 4096, 5120, 6144] = 2048
    serverless_max_concurrency: int = Field(
        1, ge=1, le=200, description="requests at a time; one more is told ThrottlingException"
    )
    serverless_min_agreement: Share = Field(
        0.5,
        description="of the answers to replayed requests that must be the champion's; low, as a"
        " version trained on what callers send now differs where the champion is wrong",
    )


class Alarms(_Section):
    """Thresholds of the CloudWatch alarms, which follow the file at each release."""

    error_percent: float = Field(5, gt=0, lt=100, description="of the answers that are 5xx")
    error_minutes: int = Field(3, ge=1, le=1440, description="for so long")
    latency_ms: float = Field(
        500, ge=1, le=60_000, description="mean, on EC2 and real-time endpoints"
    )
    serverless_latency_ms: float = Field(
        5000, ge=1, le=60_000, description="mean, cold starts included"
    )
    latency_minutes: int = Field(5, ge=1, le=1440, description="for so long")
    quiet_minutes: int = Field(
        30, ge=1, le=1440, description="nobody asks: a person is told, no version goes back"
    )

    def parameters(self, target: str) -> dict[str, str]:
        """What the templates infra/cloudformation/alarms-*.yaml call them."""
        latency = self.serverless_latency_ms if target == "serverless" else self.latency_ms
        return {
            "ErrorPercent": f"{self.error_percent:g}",
            "ErrorMinutes": str(self.error_minutes),
            "LatencyMs": f"{latency:g}",
            "LatencyMinutes": str(self.latency_minutes),
            "QuietMinutes": str(self.quiet_minutes),
            "QuietSeconds": str(60 * self.quiet_minutes),
        }


class Classifier(_Section):
    """What a user edits: one file in classifiers/ is one classifier."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,19}$")
    registered_model: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{1,62}$")
    task: str = Field("text-classification", min_length=1)
    data: Data
    training: Training = Training()
    tuning: Tuning = Tuning()
    gates: Gates = Gates()
    serving: Serving = Serving()
    rollout: Rollout = Rollout()
    alarms: Alarms = Alarms()
    retrain: Retrain = Retrain()
    drift: Drift = Drift()
    feedback: Feedback = Feedback()
    capture: Capture = Capture()

    @field_validator("tuning")
    @classmethod
    def _space_is_trainable(cls, tuning: Tuning) -> Tuning:
        return tuning.fitted(Hyperparameters)


def load(name: str, folder: Path) -> Classifier:
    """The classifier called `name`, read from `folder`/`name`.toml.

    Raises BadConfig, which names the file, the key and what is allowed.
    """
    file = folder / f"{name}.toml"
    if not file.is_file():
        known = ", ".join(names(folder)) or "none"
        raise BadConfig(f"{file}: no such classifier; there are: {known}")
    try:
        found = Classifier.model_validate(tomllib.loads(file.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"{file}: not valid TOML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise BadConfig(f"{file}: {problems}") from error
    if found.name != name:
        raise BadConfig(f"{file}: name: is {found.name!r}, the file name says {name!r}")
    return found


def names(folder: Path) -> tuple[str, ...]:
    """The classifiers that have a file in `folder`, in order."""
    return tuple(sorted(file.stem for file in folder.glob("*.toml")))
