"""The release journal in S3: one JSON object, changed only by conditional writes."""

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from tasks.adapters import objects
from tasks.errors import Conflict
from tasks.records import Release, Served

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def read(s3: "S3Client", bucket: str, key: str) -> Release | None:
    """What the journal says; None only when there surely is none."""
    found = objects.read(s3, bucket, key)
    return None if found is None else _parsed(json.loads(found.body), found.etag)


def write(s3: "S3Client", bucket: str, key: str, release: Release) -> Release:
    """Put `release` in the place of the journal that it was made from, told by its etag.

    Conflict when somebody else wrote first. A write whose answer was lost, and which botocore
    sent again, meets its own body: that is success.
    """
    if etag := objects.write(s3, bucket, key, _body(release), release.etag):
        return replace(release, etag=etag)
    there = read(s3, bucket, key)
    if there is not None and _body(there) == _body(release):
        return there
    raise Conflict(
        f"s3://{bucket}/{key}: generation {release.generation} ({release.state}) came too "
        f"late, it holds {_told(there)}; start deploy again"
    )


def _body(release: Release) -> bytes:
    told = asdict(release)
    del told["etag"]
    return json.dumps(told, sort_keys=True, indent=1).encode()


def _parsed(body: dict[str, Any], etag: str) -> Release:
    served = {
        name: None if body[name] is None else Served(**body[name])
        for name in ("champion", "previous", "candidate")
    }
    return Release(**{**body, **served, "etag": etag})


def _told(release: Release | None) -> str:
    if release is None:
        return "nothing"
    return f"generation {release.generation} ({release.state}) of {release.holder or 'nobody'}"
