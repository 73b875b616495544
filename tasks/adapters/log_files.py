"""The files of the prediction log in S3: those of a span of time, and several read at once."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import pyarrow.parquet as pq

from tasks.adapters import ranges
from training import capture
from training.capture import Kind

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

S = TypeVar("S")
T = TypeVar("T")
_READERS = 8  # files at a time: a small one is mostly waiting for S3


class Found(NamedTuple):
    """An object of the log and its size in bytes."""

    key: str
    size: int


def listed(
    s3: "S3Client",
    bucket: str,
    kind: Kind,
    classifier: str,
    since: datetime,
    until: datetime | None = None,
) -> Iterator[Found]:
    """The files of the span's hours, and of no others: their names stand in the order of time."""
    folder = capture.prefix(kind, classifier)
    first, last = (f"{folder}/{_hour(at)}" if at else "" for at in (since, until))
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=f"{folder}/dt=", StartAfter=first
    )
    for page in pages:
        for one in page.get("Contents", ()):
            if last and one["Key"].rpartition("/")[0] > last:
                return
            if one["Key"].endswith(".parquet"):
                yield Found(one["Key"], one["Size"])


def each(work: Callable[[S], T], files: Iterable[S]) -> Iterator[T]:
    """The results in the order of the files; at most `_READERS` of them wait to be taken."""
    left = iter(files)
    with ThreadPoolExecutor(_READERS) as readers:
        while some := list(islice(left, _READERS)):
            yield from readers.map(work, some)


@contextmanager
def opened(s3: "S3Client", bucket: str, key: str, size: int) -> Iterator[pq.ParquetFile]:
    """The Parquet file; what is wrong with it comes as pyarrow says it."""
    with (
        ranges.opened(s3, bucket, key, size) as content,
        pq.ParquetFile(content, pre_buffer=True) as file,
    ):
        yield file


def _hour(moment: datetime) -> str:
    return capture.hour(int(moment.timestamp() * 1000))
