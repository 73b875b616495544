"""One schema for both sides."""

import re
import time
from dataclasses import asdict, fields
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.capture import Feedback, Prediction, asked_at, hour, new_id, prefix, schema

ANSWERED = Prediction(
    request_id="abc.0",
    timestamp=1_795_283_999_999,
    classifier="news",
    model_version="3",
    bundle_digest="0" * 64,
    variant="blue",
    text="Ünïcode text, <EMAIL>",
    characters=30,
    label="Sci/Tech",
    confidence=0.5,
    probabilities=(0.25, 0.25, 0.5),
    latency_ms=1.5,
    truncated=True,
)
SAID = Feedback("abc.0", 1_795_283_999_999, "news", "World")


@pytest.mark.parametrize(("kind", "row"), [("prediction", ANSWERED), ("feedback", SAID)])
def test_a_row_is_the_same_after_parquet(kind, row, tmp_path):
    table = pa.Table.from_pylist([asdict(row)], schema(kind))

    pq.write_table(table, tmp_path / "rows.parquet")
    read = pq.read_table(tmp_path / "rows.parquet")

    assert read.schema.names == [field.name for field in fields(row)]
    assert read.schema.field("timestamp").type == pa.timestamp("ms", "UTC")
    (found,) = read.to_pylist()
    assert found.pop("timestamp").timestamp() * 1000 == pytest.approx(row.timestamp)
    told = {name: value for name, value in asdict(row).items() if name != "timestamp"}
    assert {**found, "probabilities": tuple(found.get("probabilities", ()))} == {
        "probabilities": (),
        **told,
    }


def test_a_row_lies_in_the_hour_of_its_timestamp():
    at = ANSWERED.timestamp

    assert (prefix("prediction", "news"), prefix("feedback", "news")) == (
        "data-capture/news",
        "feedback/news",
    )
    assert (hour(at), hour(at + 1)) == ("dt=2026-11-21/hour=17", "dt=2026-11-21/hour=18")


def test_an_id_of_ours_tells_when_and_those_of_callers_do_not():
    before = time.time_ns() // 10**6

    ours = new_id()

    assert re.fullmatch("[0-9a-f]{32}", ours)
    assert before <= asked_at(ours) <= asked_at(f"{ours}.12") <= time.time_ns() // 10**6
    theirs = ["abc", uuid4().hex, str(uuid4()), f"{ours}.x", "f" * 12 + ours[12:]]
    assert {asked_at(one) for one in theirs} == {None}
