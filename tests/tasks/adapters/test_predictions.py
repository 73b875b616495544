from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plugins import references
from plugins.references import OURS

from tasks.adapters import aws, predictions, ranges
from tasks.drift_records import Checked
from tasks.errors import MonitorBroken

BUCKET = "predictions-data"
START = datetime(2026, 11, 20, 22, 30, tzinfo=UTC)
DAY = Checked("news", "3", OURS, START, START + timedelta(hours=3))


@pytest.fixture
def s3(sandbox) -> Any:
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    client = aws.client("s3")
    for one in client.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        client.delete_object(Bucket=BUCKET, Key=one["Key"])
    sandbox.clear_calls()
    return client


def ship(s3: Any, at: datetime, count: int, seed: int, **more: Any) -> str:
    return references.ship(s3, BUCKET, at, count, seed, **more)


def ids(s3: Any, selection: predictions.Selection) -> list[str]:
    found = predictions.read(s3, selection, ["request_id"])
    return [one for rows in found for one in rows["request_id"].to_pylist()]


def wanted(seed: int, numbers: range) -> list[str]:
    return [f"{seed}-{number}" for number in numbers if number % 5 != 4]


def test_rows_of_the_bundle_in_the_window_come_in_the_order_of_time(s3):
    ship(s3, START - timedelta(minutes=30), 3600, seed=1)  # its second half is in the window
    ship(s3, START + timedelta(hours=1), 10, seed=2)
    ship(s3, START + timedelta(hours=1), 10, seed=3, name="b")
    ship(s3, START + timedelta(hours=2, minutes=59, seconds=50), 20, seed=4)

    found = predictions.select(s3, BUCKET, DAY, max_rows=100_000)

    expected = [
        *wanted(1, range(1800, 3600)),
        *wanted(2, range(10)),
        *wanted(3, range(10)),
        *wanted(4, range(10)),
    ]
    assert ids(s3, found) == expected
    assert (len(found), found.total) == (len(expected), len(expected))


def test_only_the_hours_of_the_window_are_looked_at(s3, sandbox):
    for hours in (-30, -1, 0, 3, 4, 40):
        ship(s3, START + timedelta(hours=hours), 5, seed=hours + 30)
    sandbox.clear_calls()

    found = predictions.select(s3, BUCKET, DAY, max_rows=100)

    assert sum(call["action"] == "GetObject" for call in sandbox.calls(under=BUCKET)) == 2
    assert ids(s3, found) == wanted(30, range(5))


def test_request_that_was_shipped_twice_is_one_row(s3):
    ship(s3, START, 50, seed=1)
    ship(s3, START, 70, seed=1, name="b")

    found = predictions.select(s3, BUCKET, DAY, max_rows=1000)

    assert ids(s3, found) == wanted(1, range(70))
    assert found.total == len(found)


def test_more_rows_than_wanted_are_sampled_and_counted(s3):
    for seed in range(4):
        ship(s3, START, 500, seed, name=str(seed), row_group_size=64)

    found = predictions.select(s3, BUCKET, DAY, max_rows=300)

    drawn = ids(s3, found)
    assert (len(drawn), len(set(drawn)), found.total) == (300, 300, 1600)
    assert {name.split("-")[0] for name in drawn} == {"0", "1", "2", "3"}
    assert ids(s3, predictions.select(s3, BUCKET, DAY, max_rows=300)) == drawn
    halves = found.parts(150)
    assert [one for half in halves for one in ids(s3, half)] == drawn
    assert len(halves) == 2


def test_newest_rows_may_be_the_window(s3):
    for hours in range(3):
        ship(s3, START + timedelta(hours=hours), 100, seed=hours)

    found = predictions.select(s3, BUCKET, DAY, max_rows=1000, newest=100)

    assert ids(s3, found) == [*wanted(1, range(75, 100)), *wanted(2, range(100))]


def test_large_segment_is_read_in_parts(s3, monkeypatch, sandbox):
    monkeypatch.setattr(ranges, "_WHOLE", 1000)
    key = ship(s3, START, 3000, seed=1)
    sandbox.clear_calls()

    found = ids(s3, predictions.select(s3, BUCKET, DAY, max_rows=100_000))

    assert found == wanted(1, range(3000))
    assert sum(call["action"] == "GetObject" for call in sandbox.calls(under=BUCKET)) > 2, key


def test_empty_window_has_no_rows(s3):
    found = predictions.select(s3, BUCKET, DAY, max_rows=10)

    assert (len(found), found.total, ids(s3, found)) == (0, 0, [])
    assert len(found.parts(5)) == 1


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more", "without columns"])
def test_segment_that_cannot_be_read_is_named(s3, content):
    key = ship(s3, START, 5, seed=1)
    if isinstance(content, str):
        packed = BytesIO()
        pq.write_table(pa.table({"text": ["a"]}), packed)
        content = packed.getvalue()
    s3.put_object(Bucket=BUCKET, Key=key, Body=content)

    with pytest.raises(MonitorBroken, match=f"s3://{BUCKET}/{key}: cannot be read"):
        predictions.select(s3, BUCKET, DAY, max_rows=10)


def test_segment_that_is_taken_away_meanwhile_is_named(s3):
    key = ship(s3, START, 5, seed=1)
    found = predictions.select(s3, BUCKET, DAY, max_rows=10)
    s3.delete_object(Bucket=BUCKET, Key=key)

    with pytest.raises(MonitorBroken, match="taken away"):
        ids(s3, found)
