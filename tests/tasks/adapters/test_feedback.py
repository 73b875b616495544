from datetime import UTC, datetime, timedelta

import boto3
import pytest
from plugins import logged

from tasks.adapters import aws, feedback
from tasks.errors import BadData
from training import capture

BUCKET = "feedback-tests"
START = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


@pytest.fixture(scope="module")
def log(sandbox):
    """Answers r0 to r11 hour by hour, and a label for each forty hours later."""
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    answers = [logged.answer(f"r{n}", at(n - 40), f"text {n}", "Sports") for n in range(12)]
    logged.ship(BUCKET, answers)
    logged.ship(BUCKET, [logged.label(f"r{n}", at(n), "World") for n in range(12)])
    return aws.client("s3")


def test_labels_of_a_span_are_read_to_the_moment(log):
    found = list(feedback.labels(log, BUCKET, "news", at(3), at(9)))

    assert [name for name, _, _ in found] == [f"r{n}" for n in range(3, 9)]
    assert found[0] == ("r3", at(3), "World")


def test_only_hours_of_the_span_are_fetched(log, sandbox):
    sandbox.clear_calls()

    found = list(feedback.labels(log, BUCKET, "news", at(9)))

    assert len(found) == 3
    assert sum(call["action"] == "GetObject" for call in sandbox.calls(under=BUCKET)) == 3


def test_answers_are_found_by_their_requests(log):
    wanted = ["r7", "r3", "unknown"]

    bare = feedback.answers(log, BUCKET, "news", at(-50), at(0), wanted)
    full = feedback.answers(log, BUCKET, "news", at(-50), at(0), wanted, texts=True)

    assert list(bare) == [(name, "1", "digest of 1", "Sports") for name in ("r3", "r7")]
    assert [row[-1] for row in full] == ["text 3", "text 7"]


def test_ids_that_tell_their_time_are_looked_for_in_those_hours_only(log, sandbox, monkeypatch):
    monkeypatch.setattr(capture.time, "time_ns", lambda: logged.milliseconds(at(-37.01)) * 10**6)
    ours = capture.new_id()
    logged.ship(BUCKET, [logged.answer(ours, at(-37), "ours")])
    sandbox.clear_calls()

    found = list(feedback.answers(log, BUCKET, "news", at(-50), at(0), [ours, f"{ours}.3"]))

    assert [row[0] for row in found] == [ours]
    assert sum(call["action"] == "GetObject" for call in sandbox.calls(under=BUCKET)) == 2


def test_an_id_that_was_made_to_mislead_is_one_that_is_not_found(log):
    forged = ["f" * 12 + "e" + "0" * 19, "0" * 12 + "e" + "0" * 19, "r3"]

    found = feedback.answers(log, BUCKET, "news", at(-50), at(0), forged)

    assert [row[0] for row in found] == ["r3"]
    assert list(feedback.answers(log, BUCKET, "news", at(-50), at(0), forged[:2])) == []


def test_nothing_is_read_for_no_requests(log, sandbox):
    sandbox.clear_calls()

    found = feedback.answers(log, BUCKET, "news", at(-50), at(0), [])

    assert list(found) == []
    assert sandbox.calls(under=BUCKET) == []


def test_a_file_that_is_no_parquet_is_named(log):
    hour = capture.hour(logged.milliseconds(START))
    key = f"{capture.prefix('feedback', 'genre')}/{hour}/x.parquet"
    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"torn")

    with pytest.raises(BadData, match=r"s3://feedback-tests/feedback/genre/.*bad_parquet"):
        list(feedback.labels(log, BUCKET, "genre", START))
