from dataclasses import replace
from pathlib import Path

import pytest

from tasks.classifiers import Classifier, load
from tasks.options import TrainingOptions
from tasks.policy.requests import evaluation_request, training_request
from tasks.records import ModelVersion, Snapshot
from tasks.requests import Workplace

CHECKOUT = Path(__file__).resolve().parents[3]
PLACE = Workplace(
    project="perennial",
    environment="dev",
    role="arn:aws:iam::123456789012:role/perennial-dev",
    image="perennial-training:1",
    bucket="models",
    git_sha="abc",
    mlflow_uri="http://mlflow:5000",
)
SNAPSHOT = Snapshot("news", "5" * 64, "s3://data/datasets/news/5", {}, (), 0, {}, reused=True)
VERSION = ModelVersion("news", "m", "1", "run", "s3://models/one", "1" * 64, "5" * 64, "job-1")


@pytest.fixture
def news() -> Classifier:
    return load("news", CHECKOUT / "classifiers")


def test_hyperparameters_are_strings_under_the_keys_of_the_file(news):
    request = training_request(news, SNAPSHOT, PLACE)

    assert request.hyperparameters == {
        "model-name": "distilbert-base-uncased",
        "max-length": "512",
        "num-train-epochs": "3",
        "per-device-train-batch-size": "8",
        "learning-rate": "2e-05",
        "weight-decay": "0.01",
        "warmup-steps": "500",
        "seed": "42",
    }


def test_where_mlflow_listens_does_not_make_another_job(news):
    here = training_request(news, SNAPSHOT, PLACE)
    there = training_request(news, SNAPSHOT, replace(PLACE, mlflow_uri="http://else:5001"))

    assert here.names == there.names
    assert there.environment["MLFLOW_TRACKING_URI"] == "http://else:5001"


@pytest.mark.parametrize(
    "options",
    [
        TrainingOptions(base_model="offline"),
        TrainingOptions(epochs=1),
        TrainingOptions(instance_type="ml.g5.xlarge"),
        TrainingOptions(use_spot=True),
        TrainingOptions(max_length=64),
        TrainingOptions(batch_size=16),
        TrainingOptions(learning_rate=5e-5),
    ],
)
def test_every_option_makes_another_job(news, options):
    assert (
        training_request(options.apply(news), SNAPSHOT, PLACE).names
        != training_request(news, SNAPSHOT, PLACE).names
    )


def test_code_and_data_make_another_job(news):
    names = training_request(news, SNAPSHOT, PLACE).names

    assert training_request(news, SNAPSHOT, replace(PLACE, git_sha="def")).names != names
    assert training_request(news, replace(SNAPSHOT, uri="s3://data/6"), PLACE).names != names


def test_options_that_are_empty_change_nothing(news):
    assert TrainingOptions().apply(news) == news


def test_a_base_model_in_s3_comes_in_its_own_channel(news):
    options = TrainingOptions(base_model="s3://models/base/bert/")

    request = training_request(options.apply(news), SNAPSHOT, PLACE)

    assert request.channels == {"training": SNAPSHOT.uri, "model": "s3://models/base/bert"}


def test_an_evaluation_without_champion_has_no_champion_folder(news):
    alone = evaluation_request(news, VERSION, None, SNAPSHOT, PLACE)
    other = replace(VERSION, bundle_digest="2" * 64, bundle_uri="s3://models/two")
    beside = evaluation_request(news, VERSION, other, SNAPSHOT, PLACE)

    assert set(alone.inputs) == {"challenger", "test"}
    assert beside.inputs["champion"] == "s3://models/two"
    assert alone.names != beside.names


def test_every_job_carries_the_cost_tags(news):
    wanted = {
        "Project": "perennial",
        "Environment": "dev",
        "CostCenter": "ML-Team",
        "ManagedBy": "perennial",
        "Classifier": "news",
    }

    assert training_request(news, SNAPSHOT, PLACE).tags == wanted
    assert evaluation_request(news, VERSION, None, SNAPSHOT, PLACE).tags == wanted
