import json
import signal
import socket
import time

import pytest
from plugins.jobs import container, make_snapshot, start

from training import bundle

HYPERPARAMETERS = {
    "max-length": "32",
    "num-train-epochs": "2",
    "per-device-train-batch-size": "4",
    "learning-rate": "1e-2",
}
STEPS = 2 * 50


@pytest.fixture
def opt_ml(tmp_path, base):
    data = make_snapshot(tmp_path / "snapshot", train=200)
    folder = container(tmp_path / "ml", data, base, **HYPERPARAMETERS)
    (folder / "checkpoints").mkdir()
    return folder


def job(opt_ml, *arguments, **variables):
    return start(
        "training.train",
        *("train", "--checkpoint-seconds", "0", *arguments),
        SAGEMAKER_BASE_DIR=opt_ml,
        TRAINING_JOB_NAME="perennial-dev-news-train-0123",
        **variables,
    )


def wait_for_step(opt_ml, process, step):
    deadline = time.monotonic() + 120
    while not any(
        int(place.name.removeprefix("step-")) >= step
        for place in (opt_ml / "checkpoints").glob("step-*")
    ):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def metrics(opt_ml):
    return json.loads((opt_ml / "output" / "data" / "metrics.json").read_text())


def test_killed_and_then_stopped_job_ends_at_the_step_of_an_unbroken_one(opt_ml):
    killed = job(opt_ml)
    wait_for_step(opt_ml, killed, 5)
    killed.kill()
    killed.communicate()

    stopped = job(opt_ml)
    wait_for_step(opt_ml, stopped, 20)
    stopped.send_signal(signal.SIGTERM)
    said = stopped.communicate(timeout=60)[0]

    resumed = job(opt_ml)
    out = resumed.communicate(timeout=120)[0]

    assert stopped.returncode == 143, said
    assert "stopped by SIGTERM at step" in said
    assert resumed.returncode == 0, out
    assert "resumed from the checkpoint at step" in out
    assert metrics(opt_ml)["steps"] == STEPS
    assert bundle.verify(opt_ml / "model").job_name == "perennial-dev-news-train-0123"


def test_two_processes_train_one_model_and_one_of_them_writes(opt_ml):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}

    pair = [
        job(opt_ml, RANK=rank, LOCAL_RANK=rank, LOCAL_WORLD_SIZE=2, **shared) for rank in (0, 1)
    ]
    outputs = [process.communicate(timeout=180)[0] for process in pair]

    assert [process.returncode for process in pair] == [0, 0], outputs
    assert "2 processes" in outputs[0]
    assert "epoch 2/2 done" not in outputs[1]
    assert metrics(opt_ml)["steps"] == STEPS / 2


def test_unknown_hyperparameter_is_the_failure_reason(opt_ml):
    (opt_ml / "input" / "config" / "hyperparameters.json").write_text('{"epochs": "3"}')

    process = job(opt_ml)
    out = process.communicate(timeout=120)[0]

    failure = (opt_ml / "output" / "failure").read_text()
    assert process.returncode == 1
    assert failure.startswith("unknown hyperparameter 'epochs'; allowed are model-name, max-length")
    assert out.splitlines()[-1] == f"error: {failure}"
