"""A spool file as Parquet objects in S3."""

import hashlib
import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from training import capture
from training.capture import FOLDERS, KINDS, Kind

logger = logging.getLogger(__name__)

_TIMES = Config(
    connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 2}
)


@dataclass(frozen=True, slots=True)
class Shipped:
    """What became of one file: rows in S3, and lines that are none, as a crash leaves them."""

    rows: int
    torn: int


class Objects:
    """Where the rows go, hour by hour."""

    def __init__(self, uri: str) -> None:
        """`uri`: of the predictions; the other kinds lie beside them."""
        self._bucket, _, self._prefix = uri.removeprefix("s3://").partition("/")
        self._s3 = boto3.client("s3", config=_TIMES)

    def ship(self, file: Path) -> Shipped:
        """Put the file's rows where they belong, at most once; OSError when S3 does not answer.

        A file that holds no such rows is set aside, so that the next ones come through.
        """
        kind = next(kind for kind in KINDS if file.name.endswith(f".{kind}{file.suffix}"))
        hours, torn = _by_hour(file.read_bytes())
        try:
            bodies = [(hour, *_parquet(kind, lines)) for hour, lines in hours.items()]
        except (pa.ArrowException, TypeError) as error:
            logger.error(f"{file.name} holds no {kind}: {type(error).__name__}; set aside")
            file.rename(file.with_suffix(".bad"))
            return Shipped(0, torn + sum(map(len, hours.values())))
        for hour, name, body in bodies:
            self._put(f"{self._folder(kind)}/{hour}/{name}.parquet", body)
        return Shipped(sum(map(len, hours.values())), torn)

    def _folder(self, kind: Kind) -> str:
        before, _, classifier = self._prefix.rpartition(f"{FOLDERS['prediction']}/")
        return before + capture.prefix(kind, classifier)

    def _put(self, key: str, body: bytes) -> None:
        try:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise OSError(f"{self._bucket}/{key}: {error}") from error
        except BotoCoreError as error:
            raise OSError(f"{self._bucket}/{key}: {error}") from error


def _by_hour(content: bytes) -> tuple[dict[str, list[bytes]], int]:
    """The lines by the hour of their rows, and how many lines are none."""
    *lines, rest = content.split(b"\n")
    hours: dict[str, list[bytes]] = {}
    torn = int(bool(rest))
    for line in lines:
        try:
            hour = capture.hour(orjson.loads(line)["timestamp"])
        except (ValueError, KeyError, TypeError, OverflowError, OSError):
            torn += 1
        else:
            hours.setdefault(hour, []).append(line)
    return hours, torn


def _parquet(kind: Kind, lines: list[bytes]) -> tuple[str, bytes]:
    """Name and content of the object: the same lines are the same object, in order of time."""
    rows: list[dict[str, Any]] = [orjson.loads(line) for line in lines]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, capture.schema(kind)), out, compression="zstd")
    digest = hashlib.sha256(b"\n".join(lines)).hexdigest()
    return f"{rows[0]['timestamp']}-{digest[:32]}", out.getvalue()
