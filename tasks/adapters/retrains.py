"""Retrain requests, their ends and the journal of retrains in S3, all by conditional writes."""

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tasks.errors import Conflict
from tasks.reasons import End, Journal, Request

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"})


def folder(classifier: str) -> str:
    """S3 folder of all that is remembered of a classifier's retrains."""
    return f"retrain/{classifier}"


def ask(s3: "S3Client", bucket: str, request: Request) -> Request:
    """Keep the request; what was kept first under its fingerprint is what counts."""
    key = f"{folder(request.classifier)}/{request.fingerprint}.json"
    if _put(s3, bucket, key, request.model_dump_json(indent=1), {"IfNoneMatch": "*"}):
        return request
    return Request.model_validate_json(s3.get_object(Bucket=bucket, Key=key)["Body"].read())


def find(s3: "S3Client", bucket: str, classifier: str, fingerprint: str) -> Request | None:
    """The request of this fingerprint, None only when there surely is none."""
    key = f"{folder(classifier)}/{fingerprint}.json"
    body, _ = _get(s3, bucket, key)
    return Request.model_validate_json(body) if body else None


def waiting(s3: "S3Client", bucket: str, classifier: str) -> list[Request]:
    """The requests that have no end yet, the first one first."""
    open_ones = _names(s3, bucket, folder(classifier)) - _names(
        s3, bucket, f"{folder(classifier)}/ended"
    )
    found = (find(s3, bucket, classifier, name) for name in sorted(open_ones))
    return sorted((one for one in found if one), key=lambda one: one.at)


def close(s3: "S3Client", bucket: str, classifier: str, end: End) -> bool:
    """The request needs nobody any more; whether that was not known yet."""
    key = f"{folder(classifier)}/ended/{end.fingerprint}.json"
    return _put(s3, bucket, key, end.model_dump_json(indent=1), {"IfNoneMatch": "*"})


def read(s3: "S3Client", bucket: str, classifier: str) -> tuple[Journal, str]:
    """The journal and the etag that guards the next write; an empty one where there is none."""
    body, etag = _get(s3, bucket, _journal(classifier))
    return (Journal.model_validate_json(body) if body else Journal()), etag


def write(s3: "S3Client", bucket: str, classifier: str, journal: Journal, etag: str) -> None:
    """Put the journal in the place of the one that `etag` names; Conflict when that has gone.

    A write whose answer was lost, and which botocore sent again, meets its own body: success.
    """
    key, text = _journal(classifier), journal.model_dump_json(indent=1)
    guard = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
    if not _put(s3, bucket, key, text, guard) and _get(s3, bucket, key)[0] != text.encode():
        raise Conflict(
            f"s3://{bucket}/{key}: generation {journal.generation} came too late, another run "
            f"wrote first; see prefect deployment run 'pipeline/{classifier}'"
        )


def _journal(classifier: str) -> str:
    return f"{folder(classifier)}/governor/journal.json"


def _names(s3: "S3Client", bucket: str, where: str) -> set[str]:
    """The objects right in this folder, without their .json."""
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=f"{where}/", Delimiter="/"
    )
    keys = (found["Key"] for page in pages for found in page.get("Contents", []))
    return {key.removeprefix(f"{where}/").removesuffix(".json") for key in keys}


def _get(s3: "S3Client", bucket: str, key: str) -> tuple[bytes, str]:
    try:
        found = s3.get_object(Bucket=bucket, Key=key)
    except s3.exceptions.NoSuchKey:
        return b"", ""
    return found["Body"].read(), found["ETag"]


def _put(s3: "S3Client", bucket: str, key: str, text: str, guard: dict[str, Any]) -> bool:
    """False when somebody else was first."""
    try:
        s3.put_object(
            Bucket=bucket, Key=key, Body=text.encode(), ContentType="application/json", **guard
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in _LOST:
            return False
        raise
    return True
