"""What SageMaker's DataCapture writes, in each of its encodings."""

import base64
import json
from datetime import UTC, datetime

import pytest

from tasks.adapters import aws, data_capture
from tasks.drift_records import Checked
from tasks.errors import MonitorBroken
from training.capture import schema

NAMES = ("World", "Sports", "Business")
BUCKET = "captured"
SINCE, UNTIL = datetime(2026, 11, 21, 16, 30, tzinfo=UTC), datetime(2026, 11, 21, 18, tzinfo=UTC)
WANTED = Checked("news", "7", "d" * 64, SINCE, UNTIL)


def part(data, encoding="JSON"):
    told = data if isinstance(data, str) else json.dumps(data)
    if encoding == "BASE64":
        told = base64.b64encode(told.encode()).decode()
    return {"observedContentType": "application/json", "data": told, "encoding": encoding}


def record(asked, answered, at="2026-11-21T17:10:00Z", encoding="JSON", name="one"):
    return {
        "captureData": {
            "endpointInput": {**part(asked, encoding), "mode": "INPUT"},
            "endpointOutput": {**part(answered, encoding), "mode": "OUTPUT"},
        },
        "eventMetadata": {"eventId": name, "inferenceTime": at},
        "eventVersion": "0",
    }


def text_answer(label="Sports", version="7"):
    return {"prediction": label, "confidence": 0.8, "model_version": version}


@pytest.fixture
def captured(sandbox, request):
    """Put records into one file of an endpoint of its own; what is read of them."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    folder = f"data-capture-sagemaker/{request.node.name[:60]}"

    def read(*records, hour="17"):
        lines = [one if isinstance(one, str) else json.dumps(one) for one in records]
        key = f"{folder}/v7/2026/11/21/{hour}/10-00-000-ab.jsonl"
        s3.put_object(Bucket=BUCKET, Key=key, Body="\n".join(lines).encode())
        batches = data_capture.read(
            s3, f"s3://{BUCKET}/{folder}", WANTED, NAMES, lambda text: text.replace("Ann", "<NAME>")
        )
        found = list(batches)
        assert all(batch.schema == schema("prediction") for batch in found)
        return [row for batch in found for row in batch.to_pylist()]

    return read


def test_one_text_becomes_one_row_of_the_log(captured):
    (row,) = captured(record({"text": "Ann won the cup"}, text_answer()))

    assert (row["request_id"], row["text"], row["characters"]) == ("one", "<NAME> won the cup", 15)
    assert (row["label"], row["model_version"], row["variant"]) == ("Sports", "7", "v7")
    assert row["bundle_digest"] == "d" * 64
    assert row["timestamp"] == datetime(2026, 11, 21, 17, 10, tzinfo=UTC)
    assert row["probabilities"] == pytest.approx([0.1, 0.8, 0.1])


def test_the_other_shapes_and_encodings_are_read_too(captured):
    ranked = {"main_category": ["World", "Business"], "probabilities": [0.6, 0.3]}
    batch = {"predictions": [text_answer("World"), text_answer()], "model_version": "7"}

    rows = captured(
        record({"data": "peace"}, ranked, name="a"),
        record({"texts": ["war", "cup"]}, batch, name="b"),
        record({"text": "match"}, text_answer(), encoding="BASE64", name="c"),
        record('"goal, late"', "Sports,0.7", encoding="CSV", name="d"),
    )

    told = [(row["request_id"], row["text"], row["label"]) for row in rows]
    assert told == [
        ("a", "peace", "World"),
        ("b.0", "war", "World"),
        ("b.1", "cup", "Sports"),
        ("c", "match", "Sports"),
        ("d", "goal, late", "Sports"),
    ]
    assert rows[0]["probabilities"] == pytest.approx([0.6, 0.1, 0.3])


def test_other_versions_and_other_times_are_left_out(captured):
    rows = captured(
        record({"text": "one"}, text_answer(version="8")),
        record({"text": "two"}, text_answer(), at="2026-11-21T16:10:00Z"),
        record({"text": "three"}, text_answer(), at="2026-11-21T18:00:00Z"),
        hour="16",
    )

    assert rows == []


@pytest.mark.parametrize("broken", ["{", '{"eventMetadata": {}}', "[]"])
def test_a_file_that_is_something_else_is_named(captured, broken):
    with pytest.raises(MonitorBroken, match=r"s3://captured/.*10-00-000-ab\.jsonl: not what"):
        captured(record({"text": "one"}, text_answer()), broken)


def test_a_label_that_the_model_does_not_know_is_named(captured):
    with pytest.raises(MonitorBroken, match="'Weather' is none of the model's"):
        captured(record({"text": "rain"}, text_answer("Weather")))
