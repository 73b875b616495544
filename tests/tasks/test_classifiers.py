from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.classifiers import Alarms, load, names
from tasks.errors import BadConfig

FOLDER = Path(__file__).resolve().parents[2] / "classifiers"
SMALLEST = """
name = "pets"
registered_model = "pet-classifier"
[data]
source = "pets"
labels = ["cat", "dog"]
[data.files]
format = "csv"
columns = ["text", "label"]
text = ["text"]
label = "label"
train = "train.csv"
"""


def file(folder: Path, text: str, name: str = "pets") -> Path:
    (folder / f"{name}.toml").write_text(text)
    return folder


def test_the_three_reference_classifiers_load():
    assert set(names(FOLDER)) >= {"genre", "news", "sentiment"}

    found = {name: load(name, FOLDER) for name in names(FOLDER)}

    assert [len(found[name].data.labels) for name in ("genre", "news", "sentiment")] == [27, 4, 2]
    assert found["genre"].data.files.columns == ("id", "title", "genre", "description")
    assert found["news"].registered_model == "bert-news-classifier"


def test_hyperparameters_go_by_the_names_of_the_training_job():
    found = load("genre", FOLDER).training.hyperparameters

    assert set(found.model_dump(by_alias=True)) == {
        "model-name",
        "max-length",
        "num-train-epochs",
        "per-device-train-batch-size",
        "learning-rate",
        "weight-decay",
        "warmup-steps",
        "seed",
    }


def test_a_fourth_classifier_is_one_file(tmp_path):
    found = load("pets", file(tmp_path, SMALLEST))

    assert found.data.sample_size == 5000
    assert found.training.hyperparameters.max_length == 256
    assert names(tmp_path) == ("pets",)


def test_hub_rows_have_a_shape_of_their_own():
    shape = load("sentiment", FOLDER).data.hub.files

    assert (shape.format, shape.columns) == ("jsonl", ("sentence", "label"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"cat", "dog"', '"cat"', r"data\.labels: .*at least 2"),
        ('"cat", "dog"', '"cat", "cat"', "labels must be different"),
        ('label = "label"', 'label = "kind"', r"data\.files: .*columns \['kind'\] are not among"),
        ('format = "csv"', 'format = "xml"', r"data\.files\.format: .*'triple-colon', 'csv'"),
        ('source = "pets"', 'source = "ftp://x"', r"data\.source: .*pattern"),
        ("[data]", "[data]\nsample_size = 5", r"data\.sample_size: .*greater than or equal to 20"),
        ("[data]", "[data]\nsampel_size = 50", r"data\.sampel_size: Extra inputs"),
        ("[data.files]", "[data.files]\ncodes = {x = 'cow'}", r"files\.codes name \['cow'\]"),
        (
            "[data]",
            "[training.hyperparameters]\nmax-length = 513\n[data]",
            r"training\.hyperparameters\.max-length: .*less than or equal to 512",
        ),
        (
            "[data]",
            "[training.hyperparameters]\nepochs = 3\n[data]",
            r"training\.hyperparameters\.epochs: Extra inputs",
        ),
        ('name = "pets"', 'name = "cats"', "name: is 'cats', the file name says 'pets'"),
        ("[data]", "[data", "not valid TOML"),
    ],
)
def test_a_mistake_names_file_and_key(tmp_path, old, new, message):
    folder = file(tmp_path, SMALLEST.replace(old, new, 1))

    with pytest.raises(BadConfig, match=message) as caught:
        load("pets", folder)

    assert "pets.toml" in str(caught.value)


def test_a_classifier_that_is_not_there_names_those_that_are(tmp_path):
    with pytest.raises(BadConfig, match="no such classifier; there are: pets"):
        load("dogs", file(tmp_path, SMALLEST))


@pytest.mark.parametrize(
    ("target", "latency"), [("ec2", "500"), ("sagemaker", "500"), ("serverless", "5000")]
)
def test_thresholds_of_the_alarms_are_those_of_the_requirements(target, latency):
    assert Alarms().parameters(target) == {
        "ErrorPercent": "5",
        "ErrorMinutes": "3",
        "LatencyMs": latency,
        "LatencyMinutes": "5",
        "QuietMinutes": "30",
        "QuietSeconds": "1800",
    }


@pytest.mark.parametrize("wrong", [{"error_percent": 0}, {"quiet_minutes": 1441}, {"errors": 1}])
def test_a_threshold_that_cloudwatch_would_refuse_is_refused_in_the_file(wrong):
    with pytest.raises(ValidationError):
        Alarms.model_validate(wrong)
