"""SageMaker training and processing jobs: described or created, watched to their end."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tasks.errors import Conflict, JobFailed, WaitTimeout
from tasks.requests import (
    MARK,
    PROVISIONING_S,
    Found,
    Kind,
    ProcessingRequest,
    Started,
    TrainingRequest,
)

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

Request = TrainingRequest | ProcessingRequest

GROUPS = {"training": "/aws/sagemaker/TrainingJobs", "processing": "/aws/sagemaker/ProcessingJobs"}

_WORDS = 15
_UNSEEN_S = 60  # a job just made may be unknown to the next read
_RUNNING = frozenset({"InProgress", "Stopping"})


@dataclass(frozen=True, slots=True)
class Status:
    """One look at a job."""

    name: str
    state: str
    phase: str
    reason: str
    digest: str
    output_uri: str
    seconds: float
    began_s: float = 0.0
    billable_s: float = 0.0

    @property
    def over(self) -> bool:
        return self.state not in _RUNNING


def start(sagemaker: "SageMakerClient", request: Request) -> Started:
    """The job of this request: the one that runs or has ended well, or else a new one.

    Calling twice starts one job, also when the answer to the first call was lost. After a failed
    or stopped job the next name is taken.
    """
    kind: Kind = "training" if isinstance(request, TrainingRequest) else "processing"
    last = None
    for name in request.names:
        status = describe(sagemaker, kind, name)
        if status is None:
            found: Found = "running" if _create(sagemaker, request, kind, name) else "new"
        elif status.digest != request.digest:
            raise Conflict(f"{kind} job {name} exists with other inputs; who made it?")
        elif status.state not in {"Failed", "Stopped"}:
            found = "completed" if status.over else "running"
        else:
            last = status
            continue
        return Started(name, kind, found, _timeout(request))
    raise JobFailed(
        f"{kind} job {request.names[0]}: {len(request.names)} attempts failed, the last with:"
        f" {last.reason if last else 'no reason'}. Mend the cause, then change an input (for"
        " example hyperparameter seed in the classifier file) to start afresh"
    )


def describe(sagemaker: "SageMakerClient", kind: Kind, name: str) -> Status | None:
    """One look at the job, None when there is no job of that name."""
    try:
        if kind == "training":
            return _training(sagemaker.describe_training_job(TrainingJobName=name))
        return _processing(sagemaker.describe_processing_job(ProcessingJobName=name))
    except ClientError as error:
        if not _unknown(error):
            raise
        return None


def wait(
    sagemaker: "SageMakerClient",
    job: Started,
    look: Callable[[Status], None],
    poll_s: float = 3,
) -> Status:
    """Call `look` on every poll until the job is over; its last status.

    Ending the wait does not end the job. WaitTimeout when it takes longer than it may.
    """
    began = monotonic()
    while True:
        status = describe(sagemaker, job.kind, job.name)
        waited = monotonic() - began
        if status is not None:
            look(status)
            if status.over:
                return status
        elif waited > _UNSEEN_S:
            raise JobFailed(f"{job.kind} job {job.name} does not exist; start the flow again")
        if waited > job.timeout_s:
            raise WaitTimeout(
                f"{job.kind} job {job.name} is not over after {waited:.0f} s; see"
                f" `aws sagemaker describe-{job.kind}-job --{job.kind}-job-name {job.name}`;"
                " starting the flow again waits for the same job"
            )
        sleep(poll_s)


def stop(sagemaker: "SageMakerClient", name: str) -> None:
    """Ask a training job to end; fine when it is over already, or about to be."""
    try:
        sagemaker.stop_training_job(TrainingJobName=name)
    except ClientError as error:
        status = describe(sagemaker, "training", name)
        if status is None or status.state == "InProgress":
            raise error


def failure(kind: Kind, status: Status, where: str, last_lines: list[str]) -> JobFailed:
    """The error that tells how the job ended, its last words, and what to do next."""
    group, stream = where.split(" ", 1)
    words = "".join(f"\n  {line}" for line in last_lines[-_WORDS:]) or " none"
    return JobFailed(
        f"{kind} job {status.name} {status.state}: {status.reason or 'no reason given'}\n"
        f"last lines of its log:{words}\n"
        f"whole log: aws logs tail {group} --log-stream-name-prefix {stream} --since 2d\n"
        "next: mend the cause and start the flow again; it makes a new attempt"
    )


def _create(sagemaker: "SageMakerClient", request: Request, kind: Kind, name: str) -> bool:
    """Create the job; True when it turns out to be there already, with the same inputs."""
    # It imports the SDK, which takes seconds: a flow that makes no job does without.
    from tasks.adapters import submissions

    try:
        submissions.submit(request, name)
    except ClientError as error:
        if error.operation_name.startswith("Describe"):
            return False  # the SDK reads what it has made; that read is for `wait` to repeat
        if error.response["Error"]["Code"] != "ResourceInUse":
            raise
        status = describe(sagemaker, kind, name)
        if status is not None and status.digest != request.digest:
            raise Conflict(f"{kind} job {name} exists with other inputs; who made it?") from error
        return True
    return False


def _timeout(request: Request) -> int:
    spot = isinstance(request, TrainingRequest) and request.use_spot
    return request.max_runtime_s + PROVISIONING_S * (2 if spot else 1)


def _training(found: Any) -> Status:
    return Status(
        name=found["TrainingJobName"],
        state=found["TrainingJobStatus"],
        phase=found.get("SecondaryStatus", ""),
        reason=found.get("FailureReason", ""),
        digest=found.get("Environment", {}).get(MARK, ""),
        output_uri=found.get("ModelArtifacts", {}).get("S3ModelArtifacts", ""),
        seconds=_seconds(found.get("TrainingStartTime"), found.get("TrainingEndTime")),
        began_s=began.timestamp() if (began := found.get("TrainingStartTime")) else 0.0,
        billable_s=found.get("BillableTimeInSeconds", 0.0),
    )


def _processing(found: Any) -> Status:
    outputs = found.get("ProcessingOutputConfig", {}).get("Outputs", [])
    return Status(
        name=found["ProcessingJobName"],
        state=found["ProcessingJobStatus"],
        phase=found.get("ExitMessage", ""),
        reason=found.get("FailureReason", ""),
        digest=found.get("Environment", {}).get(MARK, ""),
        output_uri=outputs[0]["S3Output"]["S3Uri"] if outputs else "",
        seconds=_seconds(found.get("ProcessingStartTime"), found.get("ProcessingEndTime")),
    )


def _seconds(begin: datetime | None, end: datetime | None) -> float:
    return ((end or datetime.now(UTC)) - begin).total_seconds() if begin else 0.0


def _unknown(error: ClientError) -> bool:
    told = error.response["Error"]
    return told["Code"] in {"ResourceNotFound", "ResourceNotFoundException"} or (
        told["Code"] == "ValidationException"
        and any(words in told["Message"].lower() for words in ("not found", "could not find"))
    )
