"""A training run whose flow process is killed: its SageMaker job goes on and is found again."""

import logging
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from plugins.gates import Gate
from plugins.jobs import make_snapshot
from prefect.settings import get_current_settings

from flows.train import train
from tasks.adapters import aws, jobs, logs, snapshots
from training.formats import Progress, SnapshotManifest

CHECKOUT = Path(__file__).resolve().parents[2]
BUCKET = "perennial-data-test"

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def longer(tiny, tmp_path):
    """`tiny` with rows for some seconds of training."""
    file = tiny.folder / "tiny.toml"
    file.write_text(file.read_text().replace("batch-size = 16", "batch-size = 1"))
    folder = make_snapshot(tmp_path / "rows", train=1500)
    told = SnapshotManifest.model_validate_json((folder / "manifest.json").read_bytes())
    manifest, s3 = told.model_copy(update={"classifier": "tiny"}), aws.client("s3")
    snapshots.remember(s3, BUCKET, snapshots.write(s3, BUCKET, manifest, folder))
    return tiny


def running_job():
    found = aws.client("sagemaker").list_training_jobs(
        NameContains="perennial-test-tiny-train-", SortBy="CreationTime", SortOrder="Descending"
    )
    running = [one for one in found["TrainingJobSummaries"] if not one.get("TrainingEndTime")]
    return running[0]["TrainingJobName"] if running else None


def tells_progress(name):
    lines = logs.read(aws.client("logs"), logs.Tail(jobs.GROUPS["training"], f"{name}/"))
    return any(Progress.parse(line) for line in lines)


@pytest.fixture
def killed(longer, monkeypatch):
    """The job of a flow process that was killed while it followed it, and that job's gate."""
    monkeypatch.setenv("PREFECT_API_URL", str(get_current_settings().api.url))
    run = subprocess.Popen([sys.executable, "-m", "flows.train", "tiny"], cwd=CHECKOUT)
    deadline = time.monotonic() + 240
    try:
        while not ((name := running_job()) and tells_progress(name)):
            assert run.poll() is None, "the flow ended before its job told anything"
            assert time.monotonic() < deadline, f"job {name} told no progress"
            time.sleep(0.2)
        gate = Gate(name, "attaching")
    finally:
        run.kill()
    assert run.wait() == -signal.SIGKILL
    logging.getLogger("tasks").addHandler(gate)
    yield name
    logging.getLogger("tasks").removeHandler(gate)
    gate.open()


def test_a_run_goes_on_with_the_job_of_a_killed_one(longer, killed, sandbox, mlflow_server, caplog):
    left = jobs.describe(aws.client("sagemaker"), "training", killed)

    with caplog.at_level("INFO", logger="tasks"):
        version = train("tiny")

    assert left.state == "InProgress"
    assert f"training job {killed} is running already; attaching to it" in caplog.messages
    assert version.job_name == killed
    assert [call["action"] for call in sandbox.calls()].count("CreateTrainingJob") == 1
    assert len(MlflowClient(mlflow_server).search_model_versions(f"name='{longer.model}'")) == 1
