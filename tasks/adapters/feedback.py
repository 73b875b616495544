"""Labels that callers sent, and the logged answers that they are about: Parquet in S3, by hours.

A file at a time is in memory, of it only the columns that are needed.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.errors import BadData
from training import capture
from training.capture import Kind

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_AT_ONCE = 65_536
_ANSWER = ("request_id", "model_version", "bundle_digest", "label")


def labels(
    s3: "S3Client", bucket: str, classifier: str, since: datetime, until: datetime | None = None
) -> Iterator[tuple[str, datetime, str]]:
    """Request id, moment and label of each label that came in the span; `until` is not in it."""
    columns = ("request_id", "timestamp", "label")
    for batch in _batches(s3, bucket, "feedback", classifier, since, until, columns):
        yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


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
    """Id, version, bundle digest, label and perhaps text of the answers to these requests."""
    if not requests:
        return
    wanted = pa.array(sorted(requests), pa.string())
    columns = (*_ANSWER, "text") if texts else _ANSWER
    for batch in _batches(
        s3, bucket, "prediction", classifier, since, until, (*columns, "timestamp")
    ):
        found = batch.filter(pc.is_in(batch.column("request_id"), value_set=wanted))
        yield from zip(*(found.column(name).to_pylist() for name in columns), strict=True)


def _batches(
    s3: "S3Client",
    bucket: str,
    kind: Kind,
    classifier: str,
    since: datetime,
    until: datetime | None,
    columns: Sequence[str],
) -> Iterator[Any]:
    folder = capture.prefix(kind, classifier)
    for key in _keys(s3, bucket, folder, since, until):
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        try:
            file = pq.ParquetFile(pa.BufferReader(body))
            for batch in file.iter_batches(_AT_ONCE, columns=list(columns)):
                at = batch.column("timestamp")
                within = pc.greater_equal(at, pa.scalar(since, at.type))
                if until:
                    within = pc.and_(within, pc.less(at, pa.scalar(until, at.type)))
                yield batch.filter(within)
        except (pa.ArrowException, KeyError) as error:
            where = f"s3://{bucket}/{key}"
            detail = f"{error}; take the object away once you know who wrote it"
            raise BadData(where, None, "bad_parquet", detail) from error


def _keys(
    s3: "S3Client", bucket: str, folder: str, since: datetime, until: datetime | None
) -> Iterator[str]:
    """The files of the span's hours: their names stand in the order of time."""
    first = f"{folder}/{_hour(since)}"
    last = f"{folder}/{_hour(until)}/\uffff" if until else None
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=f"{folder}/dt=", StartAfter=first
    )
    for page in pages:
        for found in page.get("Contents", []):
            if last and found["Key"] > last:
                return
            if found["Key"].endswith(".parquet"):
                yield found["Key"]


def _hour(moment: datetime) -> str:
    return capture.hour(int(moment.astimezone(UTC).timestamp() * 1000))
