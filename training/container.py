"""The container contract: where SageMaker puts things, and how a job says what went wrong."""

import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class TrainingError(Exception):
    """What a person can mend; the message is the job's failure reason."""


class Hyperparameters(BaseModel):
    """The keys of hyperparameters.json, letter by letter; the command line spells them the same."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=lambda name: name.replace("_", "-"),
        populate_by_name=True,
    )

    model_name: str = Field(
        "bert-base-uncased",
        min_length=1,
        description="hub id, local folder, or `offline` for the MiniLM; a channel `model` wins",
    )
    max_length: int = Field(256, ge=8, le=512, description="tokens a text is cut to")
    num_train_epochs: int = Field(3, ge=1, le=50)
    per_device_train_batch_size: int = Field(8, ge=1, le=512)
    learning_rate: float = Field(2e-5, gt=0, le=1e-2)
    weight_decay: float = Field(0.01, ge=0, le=1)
    warmup_steps: int = Field(500, ge=0, le=100_000)
    seed: int = Field(42, ge=0, lt=2**31)

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Raises TrainingError, which names the key and what is allowed."""
        allowed = [field.alias or name for name, field in cls.model_fields.items()]
        if unknown := sorted(set(values) - set(allowed)):
            raise TrainingError(
                f"unknown hyperparameter {unknown[0]!r}; allowed are {', '.join(allowed)}"
            )
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            problems = "; ".join(
                f"hyperparameter {problem['loc'][0]}: {problem['msg']}, is {problem['input']!r}"
                for problem in error.errors()
            )
            raise TrainingError(problems) from error

    def by_key(self) -> dict[str, str | int | float | bool]:
        return self.model_dump(by_alias=True)


class JobEnvironment(BaseModel, frozen=True):
    """The one reader of the environment in this package; every field is a variable's name."""

    SAGEMAKER_BASE_DIR: Path = Path("/opt/ml")
    SM_CHECKPOINT_DIR: Path | None = None
    TRAINING_JOB_NAME: str = ""
    SM_TRAINING_JOB_NAME: str = ""
    CLASSIFIER: str = ""
    TASK: str = "text-classification"
    GIT_SHA: str = "unknown"
    MLFLOW_TRACKING_URI: str = ""
    MLFLOW_EXPERIMENT_NAME: str = ""
    RANK: int | None = None
    WORLD_SIZE: int = 1
    LOCAL_RANK: int = 0
    LOCAL_WORLD_SIZE: int = 1

    @classmethod
    def read(cls) -> Self:
        present = {name: os.environ[name] for name in cls.model_fields if os.environ.get(name)}  # noqa: TID251
        return cls.model_validate(present)

    @property
    def job_name(self) -> str:
        return self.TRAINING_JOB_NAME or self.SM_TRAINING_JOB_NAME


@dataclass(frozen=True, slots=True)
class Places:
    """Where one training job reads and writes."""

    data: Path
    model: Path
    output: Path
    failure: Path
    base_model: Path | None
    checkpoints: Path | None

    @classmethod
    def in_container(cls, environment: JobEnvironment) -> Self:
        base = environment.SAGEMAKER_BASE_DIR
        base_model = base / "input" / "data" / "model"
        checkpoints = environment.SM_CHECKPOINT_DIR or base / "checkpoints"
        return cls(
            data=base / "input" / "data" / "training",
            model=base / "model",
            output=base / "output" / "data",
            failure=base / "output" / "failure",
            base_model=base_model if base_model.is_dir() else None,
            checkpoints=checkpoints if checkpoints.is_dir() else None,
        )

    @classmethod
    def by_hand(cls, data: Path, output: Path, checkpoints: Path | None) -> Self:
        return cls(
            data=data,
            model=output / "model",
            output=output / "data",
            failure=output / "failure",
            base_model=None,
            checkpoints=checkpoints,
        )


def read_config(base: Path, name: str) -> dict[str, Any]:
    """One JSON object of input/config; an absent file is an empty one."""
    file = base / "input" / "config" / f"{name}.json"
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise TrainingError(f"{file}: not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise TrainingError(f"{file}: not a JSON object")
    return found


def write_atomically(file: Path, content: bytes) -> None:
    """A reader sees the old file or the new one, never a part."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    partial.write_bytes(content)
    partial.replace(file)


@contextmanager
def reporting(*failures: Path) -> Iterator[None]:
    """End the process with 1 on any error; each of `failures` then holds it as one sentence."""
    try:
        yield
    except Exception as error:  # the edge of the process: nothing above could act on it
        traceback.print_exc()
        sentence = " ".join(str(error).split())[:1000]
        if type(error).__module__.split(".")[0] != "training":
            sentence = f"{type(error).__name__}: {sentence}"
        # Of several processes the first one to fail knows the cause; the others only miss it.
        for file in (file for file in failures if not file.exists()):
            write_atomically(file, sentence.encode("utf-8", "replace"))
        print(f"error: {sentence}", file=sys.stderr, flush=True)
        sys.exit(1)
