import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from plugins import logged

from tasks import classifiers
from tasks.adapters import aws, retrains
from tasks.feedback_policy import Feedback
from tasks.label_check import ask_by_labels
from tasks.records import Place, Served

DATA, MODELS = "labels-data", "labels-models"
NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
SERVED = Served("7", "s3://b", "digest of 7", "ec2")
NEWS = classifiers.load("news", Path(__file__).parents[2] / "classifiers")


@pytest.fixture
def place(sandbox, engineless, request):
    """A classifier of the test's own, of which version 7 serves."""
    for bucket in (DATA, MODELS):
        boto3.client("s3").create_bucket(Bucket=bucket)
    told = dict.fromkeys((field.name for field in fields(Place)), "")
    name = request.node.name.replace("_", "-")[5:24]
    return Place(**{**told, "classifier": name, "models_bucket": MODELS})


def ask(place, **policy) -> tuple[str, ...]:
    chosen = NEWS.model_copy(update={"name": place.classifier, "feedback": Feedback(**policy)})
    return ask_by_labels(place, chosen, DATA, SERVED, NOW)


def log(place, right: int, wrong: int, version: str = "7") -> None:
    said, at = ["World"] * right + ["Sports"] * wrong, NOW - timedelta(hours=30)
    names = [f"{version}-{number}" for number in range(len(said))]
    logged.ship(
        DATA,
        [logged.answer(n, at, n, classifier=place.classifier, version=version) for n in names],
    )
    pairs = zip(names, said, strict=True)
    logged.ship(
        DATA, [logged.label(n, at + timedelta(days=1), s, place.classifier) for n, s in pairs]
    )


def reason(place, fingerprint: str):
    found = retrains.find(aws.client("s3"), MODELS, place.classifier, fingerprint)
    return found.reason


def test_a_version_that_labels_say_is_bad_asks_for_one_retrain(place):
    log(place, right=60, wrong=40)

    first, second = ask(place), ask(place)

    assert first == second
    told = reason(place, *first)
    assert (told.kind, told.evidence.version, told.evidence.score) == ("accuracy", "7", 0.6)
    assert "60.0% of 100 labelled answers of version 7 are right" in told.note
    key = told.evidence.verdict_uri.removeprefix(f"s3://{MODELS}/")
    kept = json.loads(aws.client("s3").get_object(Bucket=MODELS, Key=key)["Body"].read())
    assert kept["versions"][0]["labelled"] == 100


@pytest.mark.parametrize(
    ("right", "wrong", "version", "policy"),
    [
        (83, 17, "7", {}),  # below the threshold, but not for certain
        (0, 20, "7", {}),  # all wrong, but few
        (60, 40, "6", {}),  # of a version that serves no more
        (60, 40, "7", {"accuracy": 0.5}),
        (60, 40, "7", {"minimum_labels": 200}),
        (60, 40, "7", {"window_days": 1}),  # their answers are older
    ],
)
def test_what_is_not_certain_asks_for_nothing(place, right, wrong, version, policy):
    place = replace(place, classifier=f"n{abs(hash((right, wrong, version, str(policy))))}"[:19])
    log(place, right, wrong, version)

    assert ask(place, **policy) == ()


def test_enough_new_labels_ask_for_one_retrain_until_they_are_in_a_data_set(place):
    log(place, right=100, wrong=0)

    assert ask(place, new_labels=101) == ()
    first, second = ask(place, new_labels=100), ask(place, new_labels=50)

    told = reason(place, *first)
    assert (told.kind, told.note) == (
        "new-data",
        "100 answers or more were labelled since the first",
    )
    assert len(second) == 1
    remember(place, until=NOW - timedelta(hours=1))
    assert ask(place, new_labels=50) == ()


def remember(place, until: datetime) -> None:
    """The newest data set learned from the labels up to then."""
    s3, folder = aws.client("s3"), f"datasets/{place.classifier}"
    manifest = {
        **{"classifier": place.classifier, "sha256": "5" * 64, "labels": ["World", "Sports"]},
        **{"files": {}, "source": "here", "rows_read": 0, "dropped": {}},
        "feedback": {
            **{"since": f"{NOW - timedelta(days=30):%Y-%m-%dT%H:%M:%SZ}", "labels": 100},
            **{"until": f"{until:%Y-%m-%dT%H:%M:%SZ}", "rows": {"train": 70}},
        },
    }
    pointer = {"sha256": "5" * 64, "uri": f"s3://{DATA}/{folder}/one"}
    for key, body in (
        (f"{folder}/one/manifest.json", manifest),
        (f"{folder}/latest.json", pointer),
    ):
        s3.put_object(Bucket=DATA, Key=key, Body=json.dumps(body).encode())
