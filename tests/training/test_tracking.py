import time
from contextlib import suppress

import pytest
from mlflow import MlflowClient, artifacts
from plugins.jobs import make_snapshot

from training import train

OPTIONS = {
    "max-length": 32,
    "num-train-epochs": 2,
    "per-device-train-batch-size": 8,
    "learning-rate": 1e-2,
}


@pytest.fixture
def job(tmp_path, base, mlflow_server, monkeypatch):
    """Run the job by hand under MLflow; its run."""
    snapshot = make_snapshot(tmp_path / "snapshot")
    told = {
        "MLFLOW_TRACKING_URI": mlflow_server,
        "MLFLOW_EXPERIMENT_NAME": "tracking",
        "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "0.2",
        "TRAINING_JOB_NAME": f"job-{tmp_path.name}-{time.time_ns()}",
        "GIT_SHA": "a" * 40,
        "CLASSIFIER": "news",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    client = MlflowClient(mlflow_server)

    def run(**changes):
        options = {"model-name": base, **OPTIONS, **changes}
        parts = [str(part) for key, value in options.items() for part in (f"--{key}", value)]
        with suppress(SystemExit):
            train.main(["--data-path", str(snapshot), "--output-path", str(tmp_path), *parts])
        experiment = client.get_experiment_by_name("tracking")
        wanted = f"tags.job_name = '{told['TRAINING_JOB_NAME']}'"
        return client.search_runs([experiment.experiment_id], filter_string=wanted)

    return run


def test_run_holds_all_that_a_person_needs_to_train_again_and_to_judge(job, base, mlflow_server):
    (run,) = job()

    client = MlflowClient(mlflow_server)
    tags, params, metrics = run.data.tags, run.data.params, run.data.metrics
    assert run.info.status == "FINISHED"
    assert tags["git_sha"] == "a" * 40
    assert tags["classifier"] == "news"
    assert len(tags["snapshot_sha256"]) == len(tags["bundle_digest"]) == 64
    assert params == {
        "model-name": str(base),
        "max-length": "32",
        "num-train-epochs": "2",
        "per-device-train-batch-size": "8",
        "learning-rate": "0.01",
        "weight-decay": "0.01",
        "warmup-steps": "500",
        "seed": "42",
    }
    for name in ("train_loss", "validation_loss", "validation_accuracy", "validation_macro_f1"):
        assert [one.step for one in client.get_metric_history(run.info.run_id, name)] == [1, 2]
    assert metrics["accuracy"] == metrics["validation_accuracy"]
    assert metrics["system/system_memory_usage_percentage"] > 0
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.name == "news"
    assert tags["snapshot_sha256"].startswith(data.dataset.digest)
    labels = artifacts.load_dict(f"{run.info.artifact_uri}/label_mappings.json")
    assert labels == {"id2label": {"0": "World", "1": "Sports", "2": "Business", "3": "Sci/Tech"}}


def test_job_that_fails_says_so_and_its_restart_goes_on_in_the_same_run(job):
    (failed,) = job(**{"max-length": 512})
    (again,) = job(**{"max-length": 512})

    assert failed.info.status == again.info.status == "FAILED"
    assert failed.info.run_id == again.info.run_id
