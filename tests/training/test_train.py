import json

import pytest
import torch

from training import bundle, train
from training.bundle import Classifier
from training.checkpoints import Checkpoints
from training.container import Hyperparameters, TrainingError
from training.formats import Progress

FAST = {
    "max-length": "32",
    "num-train-epochs": "6",
    "per-device-train-batch-size": "8",
    "learning-rate": "1e-2",
}


def options(values):
    return [part for key, value in values.items() for part in (f"--{key}", str(value))]


@pytest.fixture
def by_hand(snapshot, base, tmp_path, monkeypatch):
    """Train in this process; returns the output folder."""
    for name in ("MLFLOW_TRACKING_URI", "RANK", "WORLD_SIZE", "TRAINING_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)

    def run(name="out", *more, **changes):
        values = {"model-name": base, **FAST, **changes}
        folder = tmp_path / name
        paths = ["--data-path", str(snapshot), "--output-path", str(folder)]
        train.main([*paths, *options(values), *more])
        return folder

    return run


def test_job_leaves_a_bundle_that_learned_its_manifest_and_its_metrics(by_hand, capfd):
    folder = by_hand()

    manifest = bundle.verify(folder / "model")
    metrics = json.loads((folder / "data" / "metrics.json").read_text())
    answer = Classifier.load(folder / "model").predict(["the bank and a stock in the world"])
    lines = capfd.readouterr().out.splitlines()
    assert (folder / "data" / "manifest.json").read_bytes() == manifest.to_bytes()
    assert manifest.metrics["accuracy"] > 0.9
    assert answer[0].label == "Business"
    assert [score["epoch"] for score in metrics["curve"]] == [1, 2, 3, 4, 5, 6]
    assert (metrics["steps"], metrics["run_id"]) == (48, None)
    assert manifest.hyperparameters["warmup-steps"] == 500
    assert any(found.step == found.steps == 8 for line in lines if (found := Progress.parse(line)))
    assert any("warning: warmup-steps 500 is over 10% of" in line for line in lines)


def test_same_seed_gives_the_same_bundle_and_another_seed_another(by_hand):
    first, again, other = by_hand("a"), by_hand("b"), by_hand("c", seed=7)

    weights = [folder / "model" / "model.safetensors" for folder in (first, again, other)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert weights[0].read_bytes() != weights[2].read_bytes()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"learning-rate": "1"}, "hyperparameter learning-rate: Input should be less than"),
        ({"max-length": "512"}, "max-length 512 is over the 32 positions of"),
        ({"model-name": "s3://bucket/base"}, "needs it as the job's channel `model`"),
    ],
)
def test_failure_is_one_sentence_in_the_failure_file(by_hand, tmp_path, changes, sentence):
    with pytest.raises(SystemExit) as left:
        by_hand(**changes)

    assert left.value.code == 1
    assert sentence in (tmp_path / "out" / "failure").read_text()


def test_loss_that_is_not_a_number_ends_the_job(by_hand, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "training.steps.functional.cross_entropy", lambda *a, **k: float("nan") * a[0].sum()
    )

    with pytest.raises(SystemExit):
        by_hand()

    failure = (tmp_path / "out" / "failure").read_text()
    assert failure.startswith("loss is nan at step 1: lower learning-rate, which is 0.01")


def test_checkpoint_that_is_not_whole_gives_way_to_the_one_before(tmp_path):
    kept = Checkpoints(tmp_path, "abc", seconds=0)
    for step in (1, 2, 3):
        kept.save({"step": step}, {"w": torch.full((2,), float(step))}, None, {"lr": 0.1})
    (tmp_path / "step-000000003" / "model.safetensors").write_bytes(b"cut")

    assert sorted(place.name for place in tmp_path.iterdir()) == [
        "step-000000002",
        "step-000000003",
    ]
    assert kept.newest() == 2
    assert kept.load(2).model["w"].tolist() == [2, 2]
    with pytest.raises(TrainingError, match=r"of other data or hyperparameters"):
        Checkpoints(tmp_path, "other").newest()


def test_a_key_that_the_job_does_not_know_is_refused_by_name():
    with pytest.raises(TrainingError, match="unknown hyperparameter 'learning_rate'; allowed are"):
        Hyperparameters.read({"learning_rate": "1e-4"})


def test_training_ends_when_half_of_the_epochs_planned_brought_no_better_one(by_hand, capfd):
    folder = by_hand(**{"num-train-epochs": 12})

    curve = json.loads((folder / "data" / "metrics.json").read_text())["curve"]
    best = max(curve, key=lambda one: (one["macro_f1"], one["accuracy"]))
    assert len(curve) == best["epoch"] + 6 < 12
    assert "early stop: no better epoch in the last 6" in capfd.readouterr().out
