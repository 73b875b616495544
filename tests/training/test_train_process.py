import json
import random
import signal
import subprocess

import pytest
from plugins.forks import Fork, wait
from plugins.held_ports import hold_port
from plugins.jobs import container, make_snapshot, start

from training import bundle

HYPERPARAMETERS = {
    "max-length": "32",
    "num-train-epochs": "3",
    "per-device-train-batch-size": "4",
    "learning-rate": "1e-2",
}
IN_EPOCH = 50
STEPS = 3 * IN_EPOCH
JOB = "perennial-dev-news-train-0123"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_snapshot(tmp_path_factory.mktemp("data") / "snapshot", train=4 * IN_EPOCH)


@pytest.fixture
def opt_ml(tmp_path, data, base):
    return folder(tmp_path / "ml", data, base)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, data, base):
    """The /opt/ml of a job that nobody disturbed."""
    whole = folder(tmp_path_factory.mktemp("unbroken") / "ml", data, base)
    job = fork(whole)
    assert job.end() == 0, job.said
    return whole


def folder(place, data, base, **changes):
    made = container(place, data, base, **{**HYPERPARAMETERS, **changes})
    (made / "checkpoints").mkdir()
    return made


def fork(opt_ml, *arguments, **variables):
    told = {"SAGEMAKER_BASE_DIR": opt_ml, "TRAINING_JOB_NAME": JOB, **variables}
    log = opt_ml / f"log-{variables.get('RANK', 0)}"
    return Fork(log, ["train", "--checkpoint-seconds", "0", *arguments], **told)


def newest_step(opt_ml):
    places = (opt_ml / "checkpoints").glob("step-*")
    return max((int(place.name.removeprefix("step-")) for place in places), default=0)


def metrics(opt_ml):
    return json.loads((opt_ml / "output" / "data" / "metrics.json").read_text())


def test_job_ended_at_three_random_points_gives_the_weights_of_an_unbroken_one(opt_ml, unbroken):
    within = [step for step in range(5, STEPS - 10) if step % IN_EPOCH]
    points = sorted(random.Random(1).sample(within, 3))
    ends = [signal.SIGKILL, signal.SIGTERM, signal.SIGKILL]

    for point, end in zip(points, ends, strict=True):
        # Where the job before went past this point, too, this one gets on by a step at least.
        least = max(point, newest_step(opt_ml) + 1)
        job = fork(opt_ml)
        wait(job, f"step {least}", lambda least=least: newest_step(opt_ml) >= least)
        job.send(end)
        assert job.end() == (143 if end == signal.SIGTERM else -end), job.said
    last = fork(opt_ml)

    assert last.end() == 0, last.said
    assert last.said.count("resumed from the checkpoint at step") == 3
    assert last.said.count("stopped by SIGTERM at step") == ends.count(signal.SIGTERM)
    assert metrics(opt_ml)["steps"] == metrics(unbroken)["steps"] == STEPS
    assert metrics(opt_ml)["curve"] == metrics(unbroken)["curve"]
    weights = [place / "model" / "model.safetensors" for place in (opt_ml, unbroken)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert bundle.verify(opt_ml / "model").job_name == JOB


def test_two_processes_train_one_model_and_one_of_them_writes(opt_ml):
    with hold_port() as held:
        port = held.getsockname()[1]
        shared = {"WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        pair = [fork(opt_ml, RANK=at, LOCAL_RANK=at, LOCAL_WORLD_SIZE=2, **shared) for at in (0, 1)]
        ended = [job.end() for job in pair]

    assert ended == [0, 0], [job.said for job in pair]
    assert "2 processes" in pair[0].said
    assert "epoch 3/3 done" in pair[0].said
    assert "epoch 3/3 done" not in pair[1].said
    assert metrics(opt_ml)["steps"] == STEPS / 2
    assert metrics(opt_ml)["accuracy"] > 0.9


def test_two_hosts_find_each_other_through_torchrun(tmp_path, data, base):
    hosts = ["127.0.0.1", "localhost"]
    jobs = []
    for host in hosts:
        opt_ml = folder(tmp_path / host, data, base, **{"num-train-epochs": "1"})
        config = {"current_host": host, "hosts": hosts}
        (opt_ml / "input" / "config" / "resourceconfig.json").write_text(json.dumps(config))
        told = {"SAGEMAKER_BASE_DIR": opt_ml, "TRAINING_JOB_NAME": JOB}
        jobs.append(start("training.train", "train", **told))

    try:
        said = [job.communicate(timeout=240)[0] for job in jobs]
    except subprocess.TimeoutExpired:
        for job in jobs:
            job.terminate()
        raise

    assert [job.returncode for job in jobs] == [0, 0], said
    assert "2 processes" in said[0]
    assert metrics(tmp_path / hosts[0])["steps"] == IN_EPOCH / 2
    assert not (tmp_path / hosts[1] / "output" / "data" / "metrics.json").exists()
