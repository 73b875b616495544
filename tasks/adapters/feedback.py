"""Labels that callers sent, and the logged answers that they are about: Parquet in S3, by hours.

A few files at a time are in memory; of an answer's file only the ids of the requests, unless one
of them is asked for.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.adapters import log_files
from tasks.adapters.log_files import Found
from tasks.errors import BadData
from training import capture

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Rows = list[tuple[Any, ...]]

_SLOWEST_MS = 600_000  # an answer is logged when it is given: REQUEST_TIMEOUT_S is at most so long
_LABEL = ("request_id", "timestamp", "label")
_ANSWER = ("request_id", "model_version", "bundle_digest", "label")


def labels(
    s3: "S3Client", bucket: str, classifier: str, since: datetime, until: datetime | None = None
) -> Iterator[tuple[str, datetime, str]]:
    """Request id, moment and label of each label that came in the span; `until` is not in it."""

    def read(file: pq.ParquetFile) -> Rows:
        return _rows(_within(file.read(list(_LABEL)), since, until), _LABEL)

    listed = log_files.listed(s3, bucket, "feedback", classifier, since, until)
    yield from _rows_of(s3, bucket, listed, read)


def answers(
    s3: "S3Client",
    bucket: str,
    classifier: str,
    since: datetime,
    until: datetime,
    requests: Sequence[str],
    *,
    texts: bool = False,
) -> Iterator[tuple[str, ...]]:
    """Id, version, bundle digest, label and perhaps text of the answers to these requests.

    Ids that tell their time are looked for there; one that does not, in all hours of the span.
    """
    if not requests:
        return
    wanted = pa.array(sorted(requests), pa.string())
    columns = (*_ANSWER, "text") if texts else _ANSWER

    def read(file: pq.ParquetFile) -> Rows:
        found: Rows = []
        for group in range(file.num_row_groups):
            ids = file.read_row_group(group, ["request_id"]).column(0)
            here = pc.is_in(ids, value_set=wanted)
            if pc.any(here).as_py():
                table = file.read_row_group(group, [*columns, "timestamp"]).filter(here)
                found += _rows(_within(table, since, until), columns)
        return found

    listed = log_files.listed(s3, bucket, "prediction", classifier, since, until)
    if hours := _hours(requests):
        listed = (one for one in listed if one.key.split("/", 2)[2].rpartition("/")[0] in hours)
    yield from _rows_of(s3, bucket, listed, read)


def _hours(requests: Sequence[str]) -> set[str]:
    """The folders that the requests' answers are in; none when an id does not tell."""
    found: set[str] = set()
    for request in requests:
        if (at := capture.asked_at(request)) is None:
            return set()
        found |= {capture.hour(at), capture.hour(at + _SLOWEST_MS)}
    return found


def _within(table: pa.Table, since: datetime, until: datetime | None) -> pa.Table:
    at = table.column("timestamp")
    inside = pc.greater_equal(at, pa.scalar(since, at.type))
    if until:
        inside = pc.and_(inside, pc.less(at, pa.scalar(until, at.type)))
    return table.filter(inside)


def _rows(table: pa.Table, columns: Sequence[str]) -> Rows:
    return list(zip(*(table.column(name).to_pylist() for name in columns), strict=True))


def _rows_of(
    s3: "S3Client", bucket: str, files: Iterable[Found], read: Callable[[pq.ParquetFile], Rows]
) -> Iterator[tuple[Any, ...]]:
    """The rows of all files, in their order."""
    return chain.from_iterable(log_files.each(partial(_read, s3, bucket, read), files))


def _read(
    s3: "S3Client", bucket: str, read: Callable[[pq.ParquetFile], Rows], found: Found
) -> Rows:
    try:
        with log_files.opened(s3, bucket, *found) as file:
            return read(file)
    except (pa.ArrowException, KeyError) as error:
        detail = f"{error}; take the object away once you know who wrote it"
        raise BadData(f"s3://{bucket}/{found.key}", None, "bad_parquet", detail) from error
