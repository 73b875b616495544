"""The prediction log in S3: which rows of a window are looked at, and the rows themselves.

First the request ids of every segment are read, then all columns of the chosen rows: memory is
bounded by the sample, not by the log. Segments are never changed once they are there.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from botocore.exceptions import ClientError
from numpy.typing import NDArray

from tasks.adapters import log_files
from tasks.draws import Draw, fingerprints
from tasks.drift_records import Checked
from tasks.errors import MonitorBroken

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SCANNED_ROWS, _READ_ROWS = 2**16, 2**14
_CHOOSING = ("timestamp", "bundle_digest")


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """One object of the log, and which of its rows are wanted, in growing order."""

    key: str
    size: int
    rows: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The rows to look at, of the `total` rows in the window; segments in the order of time."""

    bucket: str
    segments: tuple[Segment, ...]
    total: int

    def __len__(self) -> int:
        return sum(len(segment.rows) for segment in self.segments)

    def parts(self, rows: int) -> "list[Selection]":
        """The same rows as several selections of at least `rows` rows each, the last one of fewer.

        One selection without rows when there are none. Each says the same `total`.
        """
        found: list[list[Segment]] = [[]]
        held = 0
        for segment in self.segments:
            if held >= rows:
                found.append([])
                held = 0
            found[-1].append(segment)
            held += len(segment.rows)
        return [replace(self, segments=tuple(segments)) for segments in found]


def select(
    s3: "S3Client", bucket: str, wanted: Checked, max_rows: int, newest: int = 0
) -> Selection:
    """The rows of one bundle in the window, each request once; of more than `max_rows` a sample.

    With `newest` the window holds about so many rows, the last ones. Only the hours of the window
    are listed. MonitorBroken names a segment that cannot be read.
    """
    if newest:
        wanted = replace(wanted, since=_since(s3, bucket, wanted, newest))
    listed = _listed(s3, bucket, wanted)
    draw = Draw(max_rows)
    prints = log_files.each(partial(_prints, s3, bucket, wanted), listed)
    for number, found in enumerate(prints):
        draw.offer(number, *found)
    segments = [replace(listed[number], rows=rows) for number, rows in draw.rows().items()]
    return Selection(bucket, tuple(segments), draw.total)


def read(s3: "S3Client", selection: Selection, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The chosen rows in the order of the log, some thousands at a time."""
    held: list[pa.RecordBatch] = []
    rows = partial(_rows, s3, selection.bucket, columns)
    for found in log_files.each(rows, selection.segments):
        for batch in found:
            held.append(batch)
            if sum(map(len, held)) >= _READ_ROWS:
                yield pa.concat_batches(held)
                held = []
    if held:
        yield pa.concat_batches(held)


def _listed(s3: "S3Client", bucket: str, wanted: Checked) -> list[Segment]:
    found = log_files.listed(
        s3, bucket, "prediction", wanted.classifier, wanted.since, wanted.until
    )
    return [Segment(*one) for one in found]


def _since(s3: "S3Client", bucket: str, wanted: Checked, newest: int) -> datetime:
    """From when on there are `newest` rows until the end of the window; its begin when fewer."""
    listed = sorted(_listed(s3, bucket, wanted), key=lambda one: one.key, reverse=True)
    left = newest
    for _, segments in groupby(listed, key=lambda one: one.key.rsplit("/", 1)[0]):
        found = log_files.each(partial(_times, s3, bucket, wanted), segments)
        times = np.concatenate(list(found))
        if len(times) >= left:
            cut = np.partition(times, len(times) - left)[len(times) - left]
            return datetime.fromtimestamp(int(cut) / 1000, UTC)
        left -= len(times)
    return wanted.since


def _prints(
    s3: "S3Client", bucket: str, wanted: Checked, segment: Segment
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Fingerprints of the wanted rows, and their numbers in the segment."""
    found, rows, at = [np.empty(0, np.uint64)], [np.empty(0, np.int64)], 0
    columns = [*_CHOOSING, "request_id"]
    with _parquet(s3, bucket, segment, columns) as file:
        for batch in file.iter_batches(_SCANNED_ROWS, columns=columns):
            chosen = _chosen(batch, wanted)
            found.append(fingerprints(batch["request_id"].filter(chosen)))
            rows.append(at + np.flatnonzero(chosen.to_numpy(zero_copy_only=False)))
            at += len(batch)
    return np.concatenate(found), np.concatenate(rows)


def _times(s3: "S3Client", bucket: str, wanted: Checked, segment: Segment) -> NDArray[np.int64]:
    found = [np.empty(0, np.int64)]
    with _parquet(s3, bucket, segment, _CHOOSING) as file:
        for batch in file.iter_batches(_SCANNED_ROWS, columns=list(_CHOOSING)):
            times = batch["timestamp"].filter(_chosen(batch, wanted))
            found.append(times.cast(pa.int64()).to_numpy())
    return np.concatenate(found)


def _chosen(batch: pa.RecordBatch, wanted: Checked) -> pa.BooleanArray:
    times = batch["timestamp"]
    since, until = (pa.scalar(at, times.type) for at in (wanted.since, wanted.until))
    inside = pc.and_(pc.greater_equal(times, since), pc.less(times, until))
    ours = pc.equal(batch["bundle_digest"].cast(pa.string()), wanted.bundle_digest)
    return pc.and_(inside, ours).fill_null(False)


def _rows(
    s3: "S3Client", bucket: str, columns: Sequence[str], segment: Segment
) -> list[pa.RecordBatch]:
    found: list[pa.RecordBatch] = []
    at = 0
    with _parquet(s3, bucket, segment, columns) as file:
        for group in range(file.num_row_groups):
            end = at + file.metadata.row_group(group).num_rows
            if not len(_between(segment.rows, at, end)):
                at = end
                continue
            for batch in file.iter_batches(_READ_ROWS, [group], list(columns)):
                found.append(batch.take(pa.array(_between(segment.rows, at, at + len(batch)) - at)))
                at += len(batch)
    return found


def _between(rows: NDArray[np.int64], first: int, end: int) -> NDArray[np.int64]:
    return rows[np.searchsorted(rows, first) : np.searchsorted(rows, end)]


@contextmanager
def _parquet(
    s3: "S3Client", bucket: str, segment: Segment, columns: Sequence[str]
) -> Iterator[pq.ParquetFile]:
    uri = f"s3://{bucket}/{segment.key}"
    try:
        with log_files.opened(s3, bucket, segment.key, segment.size) as file:
            if missing := set(columns) - set(file.schema_arrow.names):
                raise ValueError(f"has no column {sorted(missing)[0]}")
            yield file
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise MonitorBroken(f"{uri}: cannot be read: {error}") from error
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        raise MonitorBroken(f"{uri}: was taken away while it was read") from error
