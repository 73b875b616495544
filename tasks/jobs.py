"""Steps that start SageMaker jobs and follow them to their end."""

import logging
from collections.abc import Callable
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from tasks.adapters import aws, jobs, logs, snapshots
from tasks.classifiers import Classifier
from tasks.policy import requests
from tasks.records import Job, ModelVersion, Snapshot
from tasks.requests import Started, Workplace
from tasks.retries import live
from tasks.settings import Settings
from training.formats import Progress

log = logging.getLogger(__name__)


def workplace(settings: Settings) -> Workplace:
    """Where the jobs of this environment run."""
    return Workplace(
        project=settings.project,
        environment=settings.environment,
        role=settings.execution_role_arn,
        image=settings.training_image,
        bucket=settings.models_bucket,
        git_sha=settings.git_sha,
        mlflow_uri=settings.mlflow_tracking_uri,
    )


@live
def find_snapshot(bucket: str, classifier: str, snapshot: str | None) -> Snapshot:
    """The data set with this hash or URI, or else the one ingested last."""
    s3 = aws.client("s3")
    if snapshot is None:
        return snapshots.latest(s3, bucket, classifier)
    uri = snapshot if "://" in snapshot else f"s3://{bucket}/datasets/{classifier}/{snapshot}"
    return snapshots.read(s3, uri)


@live(task_run_name="start training of {config.name}")
def start_training(config: Classifier, snapshot: Snapshot, place: Workplace) -> Started:
    """Start the training job, or find the one that runs or has ended well."""
    request = requests.training_request(config, snapshot, place)
    return _told(jobs.start(aws.client("sagemaker"), request))


@live(task_run_name="follow {job.name}")
def follow_training(job: Started) -> Job:
    """Show the job's log here until it ends; JobFailed carries its last lines.

    The job does not hang on this step: when the flow run is cancelled or killed it goes on, and
    the next run with the same inputs attaches to it.
    """
    return _follow(job)


@live(task_run_name="start evaluation of version {challenger.version}")
def start_evaluation(
    config: Classifier,
    challenger: ModelVersion,
    champion: ModelVersion | None,
    snapshot: Snapshot,
    place: Workplace,
) -> Started:
    """Start the job that scores both bundles, or find the one that runs or has ended well."""
    request = requests.evaluation_request(config, challenger, champion, snapshot, place)
    return _told(jobs.start(aws.client("sagemaker"), request))


@live(task_run_name="follow {job.name}")
def follow_evaluation(job: Started) -> Job:
    """Show the job's log here until it ends. It goes on without this step, as training does."""
    return _follow(job)


def _told(job: Started) -> Started:
    said = {
        "new": "started",
        "running": "is running already; attaching to it",
        "completed": "has ended well before; its result is used again",
    }
    log.info("%s job %s %s", job.kind, job.name, said[job.found])
    return job


def _follow(job: Started) -> Job:
    sagemaker, tail = aws.client("sagemaker"), logs.Tail(jobs.GROUPS[job.kind], f"{job.name}/")
    look = _quiet if job.found == "completed" else _reporter(job, tail)
    status = jobs.wait(sagemaker, job, look)
    if status.state != "Completed":
        if status.seconds:  # who never began has no words
            logs.follow_to_end(aws.client("logs"), tail)
        raise jobs.failure(job.kind, status, tail.where, tail.last)
    return Job(
        name=job.name,
        output_uri=status.output_uri,
        reused=job.found == "completed",
        seconds=round(status.seconds, 1),
    )


def _quiet(status: jobs.Status) -> None:
    """A job that ended before this run has nothing new to say."""


def _reporter(job: Started, tail: logs.Tail) -> Callable[[jobs.Status], None]:
    cloudwatch = aws.client("logs")
    artifact = create_progress_artifact(
        progress=0, key=f"{job.kind}-progress", description=f"{job.kind} job {job.name}"
    )
    assert isinstance(artifact, UUID)  # a coroutine only where an event loop runs
    phase = ""

    def look(status: jobs.Status) -> None:
        nonlocal phase
        if status.phase != phase:
            phase = status.phase
            log.info("%s job %s: %s %s", job.kind, job.name, status.state, phase)
        said = [Progress.parse(line) for line in logs.follow(cloudwatch, tail)]
        if latest := [progress for progress in said if progress]:
            told = f"{job.kind} job {job.name}: {latest[-1].line()}"
            update_progress_artifact(artifact, _percent(latest[-1]), description=told)
        if status.state == "Completed":
            update_progress_artifact(artifact, progress=100.0)

    return look


def _percent(progress: Progress) -> float:
    done = progress.epoch - 1 + progress.step / max(progress.steps, 1)
    return round(100 * done / progress.epochs, 1)
