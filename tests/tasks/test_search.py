from pathlib import Path

import pytest

from tasks.classifiers import load
from tasks.errors import BadConfig
from tasks.search import Search

FOLDER = Path(__file__).resolve().parents[2] / "classifiers"


def read(folder: Path, tuning: str):
    text = (FOLDER / "news.toml").read_text()
    (folder / "news.toml").write_text(f"{text}\n[tuning]\n{tuning}\n")
    return load("news", folder).tuning


def test_a_file_without_the_section_searches_what_usually_matters():
    found = load("news", FOLDER).tuning

    assert found.trials == 12
    assert "learning-rate" in found.space
    hyperparameters = load("news", FOLDER).training.hyperparameters.model_dump(by_alias=True)
    assert all(search.holds(hyperparameters[key]) for key, search in found.space.items())


def test_numbers_take_the_type_of_the_hyperparameter(tmp_path):
    space = "space.weight-decay = { low = 0, high = 1 }\nspace.warmup-steps = { low = 0, high = 9 }"

    found = read(tmp_path, space).space

    assert [type(end) for end in found["weight-decay"].ends] == [float, float]
    assert [type(end) for end in found["warmup-steps"].ends] == [int, int]


@pytest.mark.parametrize(
    ("tuning", "told"),
    [
        ("space.lr = { low = 1e-5, high = 1e-4 }", r"space\.lr: cannot be searched; allowed are"),
        ("space.seed = { low = 1, high = 9 }", r"space\.seed: cannot be searched"),
        (
            "space.learning-rate = { low = 1e-5, high = 1.0 }",
            r"space\.learning-rate: 1\.0: .*0\.01",
        ),
        ("space.num-train-epochs = { low = 1.5, high = 3 }", r"num-train-epochs: 1\.5: .*integer"),
        ("space.model-name = { low = 1, high = 2 }", r"model-name: is a text, so it takes choices"),
        ("space.warmup-steps = { low = 9, high = 1 }", r"low 9 must be less than high 1"),
        (
            "space.weight-decay = { low = 0, high = 1, log = true }",
            r"low must be more than 0, is 0",
        ),
        ("space.weight-decay = { low = 0.1 }", r"choices = \[\.\.\.\] or both low and high"),
        ("space.max-length = { low = 8, high = 64, choices = [8] }", r"not both"),
        ("space.max-length = { choices = [8, 8] }", r"different from each other"),
        ("space.max-length = { choices = [4] }", r"space\.max-length: 4: .*equal to 8"),
        ("dollars = 5", r"dollars is a limit only with dollars_per_hour"),
        ("trials = 0", r"\.trials: .*greater than or equal to 1"),
        ("hour = 1", r"\.hour: Extra inputs"),
        ("[tuning.space]", r"space: is empty"),
    ],
)
def test_a_mistake_names_file_key_and_what_is_allowed(tmp_path, tuning, told):
    with pytest.raises(BadConfig, match=rf"news\.toml: tuning.*{told}"):
        read(tmp_path, tuning)


def test_a_searched_number_has_the_digits_that_count_and_stays_inside():
    search = Search(low=1.0044e-5, high=1e-4, log=True)

    assert search.neat(3.14159e-5) == 3.14e-5
    assert search.neat(1.00441e-5) == 1.0044e-5
    assert Search(low=1, high=4).neat(3) == 3
    assert Search(choices=("a", "b")).neat("a") == "a"
