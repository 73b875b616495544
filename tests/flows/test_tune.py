"""Studies on the sandbox: real jobs of a tiny model, one cut short, its flow killed midway."""

import base64
import logging
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from plugins.gates import Gate
from plugins.jobs import make_snapshot
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.settings import get_current_settings

from flows.tune import tune
from tasks import trial_runs
from tasks.adapters import aws, jobs, logs, snapshots
from tasks.errors import JobFailed
from tasks.options import TrainingOptions, TuningOptions
from training.formats import Progress, SnapshotManifest

CHECKOUT = Path(__file__).resolve().parents[2]
DATA, MODELS = "perennial-data-test", "perennial-models-test"
PICTURE = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n").decode()
# Trial 0 is the file's own: it learns nothing, slowly. By this seed the next two are the same.
TUNING = """
[tuning]
trials = 3
parallel = 2
prune_after_trials = 1
dollars_per_hour = 3.6
seed = 25

[tuning.space]
learning-rate = { choices = [1e-7, 1e-3] }
per-device-train-batch-size = { choices = [1, 16] }
"""

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def searched(tiny, tmp_path, monkeypatch):
    """`tiny` with something to search, data that no other test has, and a flow that looks often."""
    monkeypatch.setattr(trial_runs, "_POLL_S", 0.3)
    monkeypatch.setenv("PREFECT_API_URL", str(get_current_settings().api.url))
    file = tiny.folder / "tiny.toml"
    text = file.read_text().replace("num-train-epochs = 1", "num-train-epochs = 4")
    text = text.replace("learning-rate = 1e-3", "learning-rate = 1e-7  # too low")
    file.write_text(text.replace("batch-size = 16", "batch-size = 1") + TUNING)
    folder = make_snapshot(tmp_path / "rows", train=1001, validation=40)
    told = SnapshotManifest.model_validate_json((folder / "manifest.json").read_bytes())
    manifest, s3 = told.model_copy(update={"classifier": "tiny"}), aws.client("s3")
    snapshots.remember(s3, DATA, snapshots.write(s3, DATA, manifest, folder))
    return tiny


def page() -> str:
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["tune-tiny"]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=wanted)
    return str(max(found, key=lambda one: one.created).data)


def study_jobs() -> dict[str, Any]:
    """The training jobs on the newest snapshot, by their batch size."""
    data = snapshots.latest(aws.client("s3"), DATA, "tiny").uri
    sagemaker = aws.client("sagemaker")
    pages = sagemaker.get_paginator("list_training_jobs").paginate(NameContains="-tiny-train-")
    names = [job["TrainingJobName"] for page in pages for job in page["TrainingJobSummaries"]]
    told = [sagemaker.describe_training_job(TrainingJobName=name) for name in names]
    return {
        one["HyperParameters"]["per-device-train-batch-size"]: one
        for one in told
        if one["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] == f"{data}/"
    }


def tells_progress(name: str) -> bool:
    lines = logs.read(aws.client("logs"), logs.Tail(jobs.GROUPS["training"], f"{name}/"))
    return any(Progress.parse(line) for line in lines)


@pytest.fixture
def killed(searched):
    """A flow process was killed while both of its trials ran; the bad one waits for the other."""
    run = subprocess.Popen([sys.executable, "-m", "flows.tune", "tiny"], cwd=CHECKOUT)
    deadline = time.monotonic() + 240
    try:
        while len(found := study_jobs()) < 2 or not tells_progress(found["1"]["TrainingJobName"]):
            assert run.poll() is None, "the flow ended before its jobs told anything"
            assert time.monotonic() < deadline, f"no progress of two jobs, only {list(found)}"
            time.sleep(0.2)
        gate = Gate(found["1"]["TrainingJobName"], "trial 1: COMPLETE")
    finally:
        run.kill()
    assert run.wait() == -signal.SIGKILL
    logging.getLogger("tasks").addHandler(gate)
    yield study_jobs()
    logging.getLogger("tasks").removeHandler(gate)
    gate.open()


def test_a_killed_study_goes_on_cuts_the_bad_trial_short_and_ends_with_a_patch(
    searched, killed, mlflow_server, sandbox, tmp_path, caplog
):
    with caplog.at_level("INFO", logger="tasks"):
        result = tune("tiny")

    ended = study_jobs()
    assert {size: job["TrainingJobStatus"] for size, job in killed.items()}["1"] == "InProgress"
    assert {size: job["TrainingJobStatus"] for size, job in ended.items()} == {
        "1": "Stopped",
        "16": "Completed",
    }
    assert [call["action"] for call in sandbox.calls()].count("CreateTrainingJob") == 2
    assert sum("which was left running" in message for message in caplog.messages) == 2
    assert (result.trials, result.winner, result.job) == (3, 1, ended["16"]["TrainingJobName"])
    told = page()
    states = re.findall(r"^\| \d+ \| ([a-z ]+) \| 0\.\d+ \|", told, re.MULTILINE)
    assert states == ["cut short", "complete", "complete"]
    assert re.search(r"Trial 0, cut short: epoch \d: .* less than the median of the others", told)
    assert told.count(PICTURE) == 2
    assert re.search(r"Cost \| \$0\.\d\d at \$3.6 per instance hour", told)
    the_patch_applies(searched.folder / "tiny.toml", result, tmp_path / "checkout")
    the_runs_are_nested(MlflowClient(mlflow_server), result, ended)
    assert MlflowClient(mlflow_server).search_registered_models(f"name='{searched.model}'") == []
    sandbox.clear_calls()

    assert tune("tiny", limits=TuningOptions(parallel=1)) == result
    assert "CreateTrainingJob" not in [call["action"] for call in sandbox.calls()]


def the_patch_applies(file: Path, result: Any, checkout: Path) -> None:
    key = result.patch_uri.removeprefix(f"s3://{MODELS}/")
    patch = aws.client("s3").get_object(Bucket=MODELS, Key=key)["Body"].read()
    (checkout / "classifiers").mkdir(parents=True)
    (copy := checkout / "classifiers" / "tiny.toml").write_bytes(file.read_bytes())
    subprocess.run(["git", "apply", "-"], input=patch, cwd=checkout, check=True)
    assert "learning-rate = 0.001  # too low\n" in copy.read_text()
    assert "batch-size = 16\n" in copy.read_text()


def the_runs_are_nested(client: MlflowClient, result: Any, ended: dict[str, Any]) -> None:
    experiment = client.get_experiment_by_name("perennial-test-tiny").experiment_id
    [parent] = client.search_runs([experiment], f"tags.study = '{result.study}'")
    below = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    children = client.search_runs([experiment], below)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics[f"best_{parent.data.tags['objective']}"] == result.score
    assert {run.data.tags["job_name"] for run in children} == {
        job["TrainingJobName"] for job in ended.values()
    }
    kept = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert kept == {"history.png", "parallel.png", "winner.patch"}


def test_failures_in_a_row_end_a_study_and_say_why(searched, sandbox):
    sandbox.fault(kind="job-failure", times=3, reason="AlgorithmError: no memory")
    other = TrainingOptions(max_length=16)  # no job of another test is used again

    with pytest.raises(JobFailed, match=r"(?s)3 trials in a row failed, .*no memory.*start tune/"):
        tune("tiny", training=other, limits=TuningOptions(parallel=1))

    assert [call["action"] for call in sandbox.calls()].count("CreateTrainingJob") == 3
    assert page().count("| failed | - |") == 3
