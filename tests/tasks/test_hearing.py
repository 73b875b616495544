"""What the log tells of both versions, and what is said where it cannot tell."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import boto3
import pytest
from plugins.logged import answer, ship

from tasks import targets
from tasks.classifiers import load
from tasks.hearing import Callers
from tasks.policy.canary import Limits
from tasks.records import Outcome, Served
from tasks.settings import Settings

BUCKETS = count(1)
LABELS = ("World", "Sports")


def served(version):
    return Served(version, f"s3://b/{version}", f"digest of {version}", "ec2")


@pytest.fixture
def place(settings_env, monkeypatch):
    bucket = f"hearing-{next(BUCKETS)}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    monkeypatch.setenv("PERENNIAL_DATA_BUCKET", bucket)
    settings = Settings()
    return targets.place_of(settings, load("news", settings.classifiers_dir), None)


def judged(place, new="8"):
    since = datetime.now(UTC) - timedelta(hours=1)
    callers = Callers(place, served(new), served("7"), LABELS, since)
    return callers.judged(Limits(min_requests=20))


def log(place, new, old, age=timedelta(0)):
    """Answers of version 8 and of version 7, to different texts."""
    at, bucket = datetime.now(UTC) - age, place.capture_uri.split("/")[2]
    for version, labels in (("8", new), ("7", old)):
        rows = enumerate(labels)
        ship(
            bucket,
            [
                answer(f"{version}-{n}", at, f"{version} {n}", one, version=version)
                for n, one in rows
            ],
        )


def test_what_callers_heard_is_judged(place):
    log(place, ["World", "Sports"] * 30, ["World", "Sports"] * 200)

    both, finding = judged(place)

    assert (both.new.answers, both.old.answers) == (60, 400)
    assert finding.outcome is Outcome.PASS
    assert "Sports: 50.0 % of 60 against 50.0 % of 400" in finding.reasons[0]


def test_another_language_fails(place):
    log(place, ["World"] * 60, ["Sports"] * 400)

    both, finding = judged(place)

    assert finding.outcome is Outcome.FAIL
    assert both.new.share("World") == 1


@pytest.mark.parametrize(
    ("change", "new", "why"),
    [
        ({"capture_uri": ""}, "8", "the prediction log is off"),
        ({}, "7", "both versions run the same bundle"),
        ({"capture_uri": "s3://hearing-nowhere/x"}, "8", "the prediction log s3://hearing-nowhere"),
    ],
)
def test_where_nobody_can_tell_it_is_said_and_blocks_nothing(place, change, new, why):
    both, finding = judged(replace(place, **change), new)

    assert (both, finding.outcome) == (None, Outcome.INCONCLUSIVE)
    assert finding.reasons[0].startswith(f"answers to callers are not compared: {why}")


def test_a_log_of_some_requests_or_of_minutes_ago_is_told_with_its_doubts(place):
    log(place, ["World", "Sports"] * 30, ["World", "Sports"] * 200, timedelta(minutes=6.6))

    _, finding = judged(replace(place, capture_percent=20))

    assert finding.outcome is Outcome.PASS
    assert finding.reasons[2:] == (
        "only 20 % of the requests are logged",
        "the prediction log of one version ends 7 minutes ago",
    )
