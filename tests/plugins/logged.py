"""Rows of the prediction log and labels in S3, as serving's shipper leaves them."""

import io
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import count

import boto3
import pyarrow as pa
import pyarrow.parquet as pq

from training import capture
from training.capture import Feedback, Prediction

_NUMBERS = count(1)


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def answer(
    request_id: str,
    at: datetime,
    text: str = "a text",
    label: str = "World",
    classifier: str = "news",
    version: str = "1",
) -> Prediction:
    return Prediction(
        request_id=request_id,
        timestamp=milliseconds(at),
        classifier=classifier,
        model_version=version,
        bundle_digest=f"digest of {version}",
        variant="",
        text=text,
        characters=len(text),
        label=label,
        confidence=0.9,
        probabilities=(0.9, 0.1),
        latency_ms=2.0,
        truncated=False,
    )


def label(request_id: str, at: datetime, said: str, classifier: str = "news") -> Feedback:
    return Feedback(request_id, milliseconds(at), classifier, said)


def ship(bucket: str, rows: Sequence[Prediction] | Sequence[Feedback]) -> None:
    """Put the rows into a file for each hour."""
    kind: capture.Kind = "feedback" if isinstance(rows[0], Feedback) else "prediction"
    by_hour: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        by_hour.setdefault(capture.hour(row.timestamp), []).append(asdict(row))
    for hour, found in by_hour.items():
        body = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(found, schema=capture.schema(kind)), body)
        key = f"{capture.prefix(kind, rows[0].classifier)}/{hour}/host-{next(_NUMBERS)}.parquet"
        boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=body.getvalue())
