from datetime import UTC, datetime, timedelta

import boto3
import pytest
from plugins.logged import answer, ship

from tasks.adapters import answered, aws
from tasks.adapters.answered import Answers
from tasks.errors import MonitorBroken
from training import capture

BUCKET = "answered-data"
START = datetime(2026, 11, 20, 22, 59, tzinfo=UTC)
LATER = START + timedelta(minutes=2)  # in another folder


@pytest.fixture
def s3(sandbox):
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    client = aws.client("s3")
    for one in client.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        client.delete_object(Bucket=BUCKET, Key=one["Key"])
    return client


def answers(s3, classifier="news"):
    return Answers(s3, BUCKET, classifier, START, "digest of 8", "digest of 7")


def labels(log):
    at, new, said, confidences, texts = log.columns()
    assert len({len(column) for column in (at, new, said, confidences, texts)}) == 1
    return sorted(zip(new.tolist(), said.tolist(), strict=True))


def test_both_versions_answers_since_the_moment_are_told_apart(s3):
    ship(BUCKET, [answer("a", START, "one", "World", version="8"), answer("b", LATER, version="7")])
    ship(
        BUCKET,
        [
            answer("c", START - timedelta(milliseconds=1), version="8"),
            answer("d", LATER, version="6"),
        ],
    )
    ship(BUCKET, [answer("e", LATER, version="8", classifier="genre")])

    at, new, said, confidences, texts = answers(s3).columns()

    assert [int(START.timestamp() * 1000), int(LATER.timestamp() * 1000)] == at.tolist()
    assert (new.tolist(), said.tolist()) == ([True, False], ["World", "World"])
    assert confidences.tolist() == pytest.approx([0.9, 0.9])
    assert len(set(texts.tolist())) == 2


def test_one_answer_of_each_request_is_taken(s3):
    batch = [answer(f"a.{number}", START, str(number), version="8") for number in range(12)]
    ship(BUCKET, [*batch, answer("b", START, "0", version="8")])

    texts = answers(s3).columns()[-1].tolist()

    assert len(texts) == 2
    assert texts[0] == texts[1]


def test_what_comes_later_is_added_and_no_file_is_read_twice(s3, sandbox):
    log = answers(s3)
    assert labels(log) == []
    ship(BUCKET, [answer("a", START, version="7")])
    assert labels(log) == [(False, "World")]
    ship(BUCKET, [answer("b", LATER, label="Sports", version="8")])
    sandbox.clear_calls()

    assert labels(log) == labels(log) == [(False, "World"), (True, "Sports")]
    assert sum(call["action"] == "GetObject" for call in sandbox.calls(under=BUCKET)) == 1


def test_so_many_rows_are_enough(s3, monkeypatch):
    monkeypatch.setattr(answered, "_MOST", 3)
    log = answers(s3)
    for number in range(3):
        ship(BUCKET, [answer(f"{number}-{row}", START, version="8") for row in range(2)])
        labels(log)

    assert len(labels(log)) == 4


def test_a_log_that_cannot_be_read_is_named(s3):
    with pytest.raises(
        MonitorBroken, match=r"s3://answered-nowhere/data-capture/genre .*NoSuchBucket"
    ):
        Answers(s3, "answered-nowhere", "genre", START, "8", "7").columns()

    ship(BUCKET, [answer("a", START, version="8")])
    log = answers(s3)
    hour = capture.hour(int(START.timestamp() * 1000))
    key = f"{capture.prefix('prediction', 'news')}/{hour}/torn.parquet"
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"PAR1 cut off")
    with pytest.raises(MonitorBroken, match="news cannot be read"):
        log.columns()

    s3.delete_object(Bucket=BUCKET, Key=key)
    assert labels(log) == [(True, "World")]
