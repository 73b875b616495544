"""What is asked of SageMaker, and what it answers; frozen values between tasks and adapter."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["training", "processing"]
Found = Literal["new", "running", "completed"]

MARK = "INPUTS_DIGEST"  # in the job's environment: all its inputs, for whoever finds the job
PROVISIONING_S = 1800  # what SageMaker may need to find a machine and fetch the image


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where jobs of one environment run and what they may use."""

    project: str
    environment: str
    role: str
    image: str
    bucket: str
    git_sha: str
    mlflow_uri: str


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """One training job. `digest` stands for all inputs; `names` are tried in order."""

    classifier: str
    digest: str
    names: tuple[str, ...]
    role: str
    image: str
    instance_type: str
    instance_count: int
    max_runtime_s: int
    use_spot: bool
    channels: dict[str, str]
    hyperparameters: dict[str, str]
    environment: dict[str, str]
    output_uri: str
    checkpoints_uri: str
    tags: dict[str, str]


@dataclass(frozen=True, slots=True)
class ProcessingRequest:
    """One processing job: folders of S3 in (by their name in the container), one folder out."""

    classifier: str
    digest: str
    names: tuple[str, ...]
    role: str
    image: str
    entrypoint: tuple[str, ...]
    instance_type: str
    max_runtime_s: int
    inputs: dict[str, str]
    output: str
    output_uri: str
    environment: dict[str, str]
    tags: dict[str, str]


@dataclass(frozen=True, slots=True)
class Started:
    """A job that runs or has ended well; `found` tells why no new one was made."""

    name: str
    kind: Kind
    found: Found
    timeout_s: int
