"""The demo's classifier files: the usual ones, in which one is changed."""

from pathlib import Path

from deployments import small_files
from tasks import classifiers

FOLDER = Path(__file__).parents[2] / "classifiers"
CHANGES = {
    "data": {"source": "sample://genre?rows=2000&seed=7"},
    "training": {"hyperparameters": {"model-name": "offline"}},
    "rollout": {"steps": [{"percent": 10, "minutes": 1}]},
}


def test_one_file_is_changed_and_all_are_there(tmp_path):
    assert small_files.write(FOLDER, tmp_path, "genre", CHANGES)

    changed, usual = classifiers.load("genre", tmp_path), classifiers.load("genre", FOLDER)
    assert changed.data.source == "sample://genre?rows=2000&seed=7"
    assert changed.training.hyperparameters.model_name == "offline"
    assert changed.training.hyperparameters.max_length == 256
    assert [step.percent for step in changed.rollout.steps] == [10]
    assert changed.gates == usual.gates
    assert "# Film genres from plots" in (tmp_path / "genre.toml").read_text()
    assert classifiers.load("news", tmp_path) == classifiers.load("news", FOLDER)


def test_it_tells_whether_anything_became_new(tmp_path):
    small_files.write(FOLDER, tmp_path, "genre", CHANGES)

    assert not small_files.write(FOLDER, tmp_path, "genre", CHANGES)
    assert small_files.write(FOLDER, tmp_path, "genre", {"data": {"sample_size": 900}})
