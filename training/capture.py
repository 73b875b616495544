"""The prediction log: what serving writes of each answer, and of the labels that come back.

Rows lie in Parquet at `s3://BUCKET/{data-capture|feedback}/CLASSIFIER/dt=YYYY-MM-DD/hour=HH/*`, by
the hour (UTC) of their timestamp. Needs no torch; pyarrow is imported when a schema is asked for.
"""

import re
import time
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache
from random import getrandbits
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["prediction", "feedback"]

# The first folder of each kind's objects.
FOLDERS: dict[Kind, str] = {"prediction": "data-capture", "feedback": "feedback"}
KINDS = tuple(FOLDERS)
_MARK = 0xE << 76
_NEVER = 2**42  # in the year 2109, and no date is too late for datetime before
_OURS = re.compile(r"[0-9a-f]{12}e[0-9a-f]{19}(\.\d+)?\Z")


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answered text. `timestamp` is in milliseconds since 1970, UTC.

    request_id: the answer's X-Request-Id, with `.{index}` behind it for each text of a batch.
    text: after the redaction policy (training.redaction); characters: before it.
    probabilities: in the order of the bundle's labels.
    """

    request_id: str
    timestamp: int
    classifier: str
    model_version: str
    bundle_digest: str
    variant: str
    text: str
    characters: int
    label: str
    confidence: float
    probabilities: tuple[float, ...]
    latency_ms: float
    truncated: bool


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a text really was. `timestamp` is in milliseconds since 1970, UTC."""

    request_id: str
    timestamp: int
    classifier: str
    label: str


@cache
def schema(kind: Kind) -> "pa.Schema":
    """The columns of a Parquet file, in the order of the row's fields."""
    import pyarrow as pa

    name = pa.dictionary(pa.int32(), pa.string())
    types = {
        "request_id": pa.string(),
        "timestamp": pa.timestamp("ms", "UTC"),
        "classifier": name,
        "model_version": name,
        "bundle_digest": name,
        "variant": name,
        "text": pa.string(),
        "characters": pa.int32(),
        "label": pa.string(),
        "confidence": pa.float32(),
        "probabilities": pa.list_(pa.float32()),
        "latency_ms": pa.float32(),
        "truncated": pa.bool_(),
    }
    row = Prediction if kind == "prediction" else Feedback
    return pa.schema([(field.name, types[field.name]) for field in fields(row)])


def new_id() -> str:
    """A name for a request that came without one: it tells when, to the millisecond.

    32 hexadecimal digits with an `e` where UUIDs have their version, which is never that.
    """
    return (time.time_ns() // 10**6 << 80 | _MARK | getrandbits(76)).to_bytes(16).hex()


def asked_at(request_id: str) -> int | None:
    """When the request came, in milliseconds since 1970; None of names that callers chose."""
    at = int(request_id[:12], 16) if _OURS.match(request_id) else _NEVER
    return at if at < _NEVER else None


def ids(request_id: str, texts: int) -> list[str]:
    """What the rows of one request are called, and what callers call them in feedback."""
    return [request_id] if texts == 1 else [f"{request_id}.{number}" for number in range(texts)]


def prefix(kind: Kind, classifier: str) -> str:
    """Folder of all rows of one kind, without a slash behind it."""
    return f"{FOLDERS[kind]}/{classifier}"


def hour(timestamp_ms: int) -> str:
    """Folder below the prefix in which a row of this time lies."""
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).strftime("dt=%Y-%m-%d/hour=%H")
