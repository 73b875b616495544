"""The job's run in MLflow: one for each job, also when the job restarts."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import mlflow
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import RunStatus
from mlflow.environment_variables import (
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_HTTP_REQUEST_TIMEOUT,
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT,
)
from mlflow.exceptions import MlflowException

from training.container import Hyperparameters, JobEnvironment, TrainingError
from training.formats import Epoch, SnapshotManifest

# About ten seconds for a server that refuses, a minute and a half for one that hangs.
_RETRIES, _TIMEOUT_S = 3, 20
# A person follows this log, and the SageMaker plugin warns at every call to a server not its own.
_NOISY = (
    "mlflow.tracking.request_header.registry",
    "mlflow.tracking.fluent",
    "mlflow.system_metrics",
)
_DIGEST_CHARS = 36  # MLflow takes no longer ones


class Run:
    """What training tells MLflow; tells nobody when there is no tracking server."""

    def __init__(self, run_id: str | None) -> None:
        self.run_id = run_id

    def epoch(self, score: Epoch) -> None:
        if self.run_id:
            values = {name: value for name, value in asdict(score).items() if name != "epoch"}
            mlflow.log_metrics(
                {f"validation_{n}" if n != "train_loss" else n: v for n, v in values.items()},
                step=score.epoch,
            )

    def result(self, values: Mapping[str, float], tags: Mapping[str, str]) -> None:
        if self.run_id:
            mlflow.log_metrics(dict(values))
            mlflow.set_tags(dict(tags))


@contextmanager
def tracked(
    environment: JobEnvironment,
    job_name: str,
    options: Hyperparameters,
    manifest: SnapshotManifest,
) -> Iterator[Run]:
    """The job's run, begun or continued; it ends FINISHED, FAILED, or KILLED by a stop."""
    uri = environment.MLFLOW_TRACKING_URI
    if not uri:
        yield Run(None)
        return
    try:
        run = Run(_start(environment, job_name, manifest))
        _describe(environment, options, manifest)
        print(f"mlflow run {run.run_id} at {uri}", flush=True)
        yield run
    except MlflowException as error:
        _end(RunStatus.FAILED)
        why = str(error).split("\n")[0]
        raise TrainingError(f"MLflow at {uri} cannot be used: {why}") from error
    except Exception:
        _end(RunStatus.FAILED)
        raise
    except SystemExit:
        _end(RunStatus.KILLED)
        raise
    mlflow.end_run()


def _start(environment: JobEnvironment, job_name: str, manifest: SnapshotManifest) -> str:
    MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(_RETRIES)
    MLFLOW_HTTP_REQUEST_TIMEOUT.set(_TIMEOUT_S)
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set(True)
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.ERROR)
    mlflow.set_tracking_uri(environment.MLFLOW_TRACKING_URI)
    classifier = environment.CLASSIFIER or manifest.classifier
    experiment = mlflow.set_experiment(environment.MLFLOW_EXPERIMENT_NAME or classifier)
    before = mlflow.search_runs(
        [experiment.experiment_id],
        filter_string=f"tags.job_name = '{job_name}'",
        max_results=1,
        output_format="list",
    )
    run = mlflow.start_run(
        run_id=before[0].info.run_id if before else None,
        run_name=None if before else job_name,
        tags={
            "job_name": job_name,
            "classifier": classifier,
            "git_sha": environment.GIT_SHA,
            "snapshot_sha256": manifest.sha256,
        },
        log_system_metrics=True,
    )
    found: str = run.info.run_id
    return found


def _describe(
    environment: JobEnvironment, options: Hyperparameters, manifest: SnapshotManifest
) -> None:
    """Parameters, data and labels; saying them again after a restart changes nothing."""
    mlflow.log_params(options.by_key())
    source = CodeDatasetSource(tags={"source": manifest.source, "sha256": manifest.sha256})
    data = MetaDataset(source, name=manifest.classifier, digest=manifest.sha256[:_DIGEST_CHARS])
    mlflow.log_input(data, context="training")
    labels: dict[str, Any] = {str(number): label for number, label in enumerate(manifest.labels)}
    mlflow.log_dict({"id2label": labels}, "label_mappings.json")


def _end(status: int) -> None:
    """Say how it ended if the server still listens; the first error is the one to report."""
    try:
        mlflow.end_run(RunStatus.to_string(status))
    except MlflowException as error:
        print(f"mlflow was not told how the run ended: {error}", flush=True)
