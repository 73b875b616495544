"""Rows of the prediction log and of the reference as numbers: columnar, chunk by chunk.

The same rows give the same bytes however they are divided between processes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks import texts
from tasks.errors import MonitorBroken
from tasks.policy.signals import Features, Floats, Numbers, joined
from training.encoder import Encoder

COLUMNS = (
    *("request_id", "text", "characters", "label"),
    *("confidence", "probabilities", "truncated"),
)
_TYPES = (
    *(pa.string(), pa.string(), pa.int32(), pa.string()),
    *(pa.float32(), pa.list_(pa.float32()), pa.bool_()),
)
_EXCERPT = 300  # characters
_CHUNK_ROWS, _CHUNK_BYTES = 2**14, 8 * 2**20


def of_batches(
    batches: Iterable[pa.RecordBatch], encoder: Encoder | None, names: tuple[str, ...]
) -> Features:
    """The rows of the batches, which hold COLUMNS, in their order; `names` are the model's labels.

    Without an encoder the texts are not looked at: the log keeps none, or only their hashes.
    Raises MonitorBroken for answers that this model cannot have given.
    """
    parts = [_features(part, encoder, names) for batch in batches for part in _chunks(batch)]
    return joined(parts or [_features(_nothing(), encoder, names)])


def of_reference(
    rows: pa.Table,
    encoder: Encoder | None,
    names: tuple[str, ...],
    redact: Callable[[str], str] = str,
) -> Features:
    """The reference rows (training.reference.SCHEMA) as the log would hold them, with the truth."""
    whole = rows["text"].combine_chunks()
    redacted = pa.array([redact(text) for text in whole.to_pylist()], pa.string())
    seen = pa.table(
        {
            "request_id": pa.nulls(len(rows), pa.string()),
            "text": redacted,
            "characters": pc.utf8_length(whole),
            **{name: rows[name] for name in COLUMNS[3:]},
        }
    )
    found = of_batches(seen.combine_chunks().to_batches(), encoder, names)
    return replace(found, ids=(), truth=_numbered(rows["label_true"].combine_chunks(), names))


def _features(batch: pa.RecordBatch, encoder: Encoder | None, names: tuple[str, ...]) -> Features:
    confidence = _floats(batch["confidence"], "confidence")
    known = Features(
        names=names,
        labels=_numbered(batch["label"], names),
        confidence=confidence,
        probabilities=_probabilities(batch["probabilities"], len(names)),
        numeric={
            "characters": _floats(batch["characters"], "characters"),
            "truncated": _floats(batch["truncated"].cast(pa.int8()), "truncated"),
            "confidence": confidence,
        },
        ids=tuple(one or "" for one in batch["request_id"].to_pylist()),
        total=len(batch),
    )
    return known if encoder is None else _with_texts(known, batch["text"], encoder)


def _with_texts(known: Features, column: pa.StringArray, encoder: Encoder) -> Features:
    column = column.fill_null("")
    whole = column.to_pylist()
    tokens = encoder.reader(whole)
    return replace(
        known,
        numeric={
            **known.numeric,
            "tokens": tokens.counts.astype(np.float64),
            "unknown_share": tokens.share(encoder.reader.unknown),
            "split_share": tokens.share(encoder.reader.continuing),
            **texts.letters(whole),
        },
        vectors=tokens.means(encoder.table),
        excerpts=tuple(text[:_EXCERPT] for text in whole),
        terms=texts.terms(column),
    )


def _numbered(labels: pa.Array, names: tuple[str, ...]) -> Numbers:
    found = pc.index_in(labels, value_set=pa.array(names, labels.type))
    if found.null_count:
        strange = labels.filter(found.is_null())[0].as_py()
        raise MonitorBroken(f"label {strange!r} is none of the model's: {', '.join(names)}")
    numbers: Numbers = found.to_numpy().astype(np.int64)
    return numbers


def _floats(column: pa.Array, name: str) -> Floats:
    found = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return _sound(found, name)


def _probabilities(column: pa.ListArray, count: int) -> Floats:
    flat = _sound(column.flatten().cast(pa.float64()).to_numpy(), "probabilities")
    if (column.value_lengths().fill_null(0).to_numpy() != count).any():
        raise MonitorBroken(f"not every row has {count} probabilities, one for each label")
    return flat.reshape(len(column), count)


def _sound(found: Floats, name: str) -> Floats:
    if wrong := int((~np.isfinite(found)).sum()):
        raise MonitorBroken(f"{wrong} values of {name} are no numbers")
    return found


def _chunks(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Slices that bound what one step holds, however long the texts are."""
    sizes = pc.binary_length(batch["text"]).fill_null(0).to_numpy().astype(np.int64)
    number = np.cumsum(sizes) // _CHUNK_BYTES + np.arange(len(sizes)) // _CHUNK_ROWS
    cuts = (np.flatnonzero(np.diff(number)) + 1).tolist()
    for start, end in pairwise([0, *cuts, len(batch)]):
        if end > start:
            yield batch.slice(start, end - start)


def _nothing() -> pa.RecordBatch:
    schema = pa.schema(zip(COLUMNS, _TYPES, strict=True))
    return pa.RecordBatch.from_pylist([], schema=schema)
