"""Answers that callers labelled become rows of a new snapshot."""

import json
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from plugins import logged

from flows import ingest as module
from flows.ingest import ingest
from tasks import quality
from tasks.feedback_window import FeedbackWindow
from tasks.policy.samples import SampleSet, generate

BUCKET = "perennial-data-test"
SOURCE = "sample://news?rows=600&seed=3"
END = datetime(2026, 2, 1, tzinfo=UTC)
MONTH = FeedbackWindow(since=END - timedelta(days=30), until=END)

pytestmark = pytest.mark.usefixtures("settings_env", "engineless")


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    """The page's picture and its tokens take seconds, and are tried elsewhere."""
    monkeypatch.setattr(module, "publish_report", lambda *_: None)
    monkeypatch.setattr(quality, "drawn", lambda *_: b"")
    monkeypatch.setattr(quality.tokenizer, "counter", lambda *_: None)


def manifest(uri: str) -> dict:
    key = uri.removeprefix(f"s3://{BUCKET}/")
    found = boto3.client("s3").get_object(Bucket=BUCKET, Key=f"{key}/manifest.json")
    return json.loads(found["Body"].read())


def test_labelled_answers_are_in_a_new_snapshot_and_others_are_not():
    texts = list(generate(SampleSet("news", 240, drifted=True), 240, "train"))
    days = [END - timedelta(days=40, minutes=number) for number in range(240)]
    pairs = list(zip(texts, days, strict=True))
    logged.ship(
        BUCKET, [logged.answer(f"a{n}", day, text) for n, ((text, _), day) in enumerate(pairs)]
    )
    told = [
        logged.label(f"a{n}", day + timedelta(days=15), said)
        for n, ((_, said), day) in enumerate(pairs[:200])
    ]
    logged.ship(BUCKET, told)

    before = ingest("news", SOURCE, 400)
    after = ingest("news", SOURCE, 400, MONTH)
    later = FeedbackWindow(since=MONTH.since + timedelta(days=3), until=END + timedelta(days=3))
    again = ingest("news", SOURCE, 400, later)

    assert "feedback" not in manifest(before.uri)
    lineage = manifest(after.uri)["feedback"]
    assert (lineage["since"], lineage["until"]) == ("2026-01-02T00:00:00Z", "2026-02-01T00:00:00Z")
    assert lineage["labels"] == 200
    assert 190 <= sum(lineage["rows"].values()) <= 200
    assert min(lineage["rows"].values()) > 10
    assert after.sha256 != before.sha256
    assert after.rows["train"] == before.rows["train"] + lineage["rows"]["train"]
    assert (again.sha256, again.reused) == (after.sha256, True)
    assert after.rows_read == before.rows_read + 200


def test_a_window_without_labels_is_the_snapshot_of_the_source():
    empty = FeedbackWindow(since=END - timedelta(days=401), until=END - timedelta(days=400))

    before = ingest("news", SOURCE, 400)
    after = ingest("news", SOURCE, 400, empty)

    assert (after.sha256, after.reused) == (before.sha256, True)
    assert "feedback" not in manifest(after.uri)
