"""What later texts are compared with: the held-back rows as a bundle answered them.

The evaluation job writes it beside evaluation.json, the drift check reads it. Needs no torch.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

FILE = "reference.parquet"
SCHEMA = pa.schema(
    {
        "text": pa.string(),
        "label_true": pa.string(),
        "label": pa.string(),
        "confidence": pa.float32(),
        "probabilities": pa.list_(pa.float32()),  # in the order of the bundle's labels
        "truncated": pa.bool_(),
    }
)
_DIGEST, _LABELS = b"bundle_digest", b"labels"


@dataclass(frozen=True, slots=True)
class ReferenceRows:
    """One row of SCHEMA for each held-back row, and which bundle answered."""

    rows: pa.Table
    bundle_digest: str
    labels: tuple[str, ...]

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[Any]], digest: str, labels: Sequence[str]) -> Self:
        """A text's lone surrogates, which Parquet cannot hold, become question marks."""
        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in columns["text"]]
        rows = pa.table({**columns, "text": clean}, SCHEMA)
        return cls(rows, digest, tuple(labels))

    def to_bytes(self) -> bytes:
        """The content of `reference.parquet`; the same rows give the same bytes."""
        told = {_DIGEST: self.bundle_digest.encode(), _LABELS: json.dumps(self.labels).encode()}
        packed = BytesIO()
        pq.write_table(self.rows.replace_schema_metadata(told), packed, compression="zstd")
        return packed.getvalue()

    @classmethod
    def from_bytes(cls, packed: bytes) -> Self:
        """ValueError says what is wrong with the content."""
        try:
            rows = pq.read_table(BytesIO(packed))
            told = rows.schema.metadata or {}
            labels = tuple(json.loads(told[_LABELS]))
            digest = told[_DIGEST].decode()
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            raise ValueError(f"{FILE}: {error}") from error
        if not rows.schema.equals(SCHEMA):
            raise ValueError(f"{FILE}: its columns are {', '.join(rows.schema.names)}")
        if not len(rows):
            raise ValueError(f"{FILE}: holds no rows")
        return cls(rows, digest, labels)
