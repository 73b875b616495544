"""Drift checks in S3: `drift/{classifier}/{window end}-{hash}/`, whose verdict.json comes last."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tasks.adapters import objects

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

VERDICT = "verdict.json"
_NO_DATA = "no-data.json"  # no verdict: rows that come late may still be judged
_TYPES = {"html": "text/html; charset=utf-8", "json": "application/json"}
_LOOK_BACK = timedelta(days=30)


def folder(classifier: str, until: datetime, digest: str) -> str:
    """Where the check of a window is kept; folders stand in the order of the windows' ends."""
    return f"drift/{classifier}/{_stamp(until)}-{digest[:12]}"


def find(s3: "S3Client", bucket: str, folder: str) -> bytes | None:
    """The verdict of this check, None when it did not come to one yet."""
    found = objects.read(s3, bucket, f"{folder}/{VERDICT}")
    return found.body if found else None


def keep(s3: "S3Client", bucket: str, folder: str, files: Mapping[str, bytes]) -> str:
    """Put the evidence beside where the verdict will be; answers with the folder's URI."""
    for name, content in files.items():
        kind = _TYPES[name.rsplit(".", 1)[1]]
        s3.put_object(Bucket=bucket, Key=f"{folder}/{name}", Body=content, ContentType=kind)
    return f"s3://{bucket}/{folder}"


def conclude(s3: "S3Client", bucket: str, folder: str, verdict: bytes) -> bool:
    """Write the verdict unless there is one; whether it is this one that stands there now."""
    return objects.settle(s3, bucket, f"{folder}/{VERDICT}", verdict)


def note_no_data(s3: "S3Client", bucket: str, folder: str, told: bytes) -> None:
    """The check was done and there was nothing to judge."""
    keep(s3, bucket, folder, {_NO_DATA: told})


def before(
    s3: "S3Client", bucket: str, classifier: str, until: datetime, most: int
) -> tuple[bytes, ...]:
    """The last verdicts on windows that ended before, oldest first, of thirty days at most."""
    start = f"drift/{classifier}/{_stamp(until - _LOOK_BACK)}"
    end = f"drift/{classifier}/{_stamp(until)}"
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=f"drift/{classifier}/", StartAfter=start
    )
    listed = (found["Key"] for page in pages for found in page.get("Contents", []))
    keys = sorted(key for key in listed if key.endswith(f"/{VERDICT}") and key < end)
    return tuple(s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys[-most:])


def last(s3: "S3Client", bucket: str, classifier: str, since: datetime) -> datetime | None:
    """When the newest check of a window that ended after `since` came to its end."""
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket,
        Prefix=f"drift/{classifier}/",
        StartAfter=f"drift/{classifier}/{_stamp(since)}",
    )
    listed = (found for page in pages for found in page.get("Contents", []))
    ends = (f"/{VERDICT}", f"/{_NO_DATA}")
    written = (one["LastModified"] for one in listed if one["Key"].endswith(ends))
    return max(written, default=None)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
