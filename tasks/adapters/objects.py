"""Objects in S3 that several write at once: a write says what it takes the place of."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412"})


@dataclass(frozen=True, slots=True)
class Found:
    """An object as it stands; `etag` guards a write in its place."""

    body: bytes
    etag: str
    written: datetime


def read(s3: "S3Client", bucket: str, key: str) -> Found | None:
    """What the key holds; None only when there surely is nothing."""
    try:
        found = s3.get_object(Bucket=bucket, Key=key)
    except s3.exceptions.NoSuchKey:
        return None
    return Found(found["Body"].read(), found["ETag"], found["LastModified"])


def write(s3: "S3Client", bucket: str, key: str, body: bytes, etag: str = "") -> str | None:
    """Put JSON in the place of what `etag` names, without it where nothing is; its own etag.

    None when somebody else was first. It looks so, too, to a write whose answer was lost and which
    botocore sent again: that one meets its own body.
    """
    guard: Any = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
    try:
        put = s3.put_object(
            Bucket=bucket, Key=key, Body=body, ContentType="application/json", **guard
        )
    except ClientError as error:
        if error.response["Error"]["Code"] not in _LOST:
            raise
        return None
    return put["ETag"]


def settle(s3: "S3Client", bucket: str, key: str, body: bytes, etag: str = "") -> bool:
    """`write`, and whether it is this body that stands there now, also when its answer was lost."""
    if write(s3, bucket, key, body, etag):
        return True
    there = read(s3, bucket, key)
    return there is not None and there.body == body
