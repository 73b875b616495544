"""Retrain requests, their ends and the journal of retrains in S3, all by conditional writes."""

from typing import TYPE_CHECKING

from tasks.adapters import objects
from tasks.errors import Conflict
from tasks.reasons import End, Journal, Request

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def folder(classifier: str) -> str:
    """S3 folder of all that is remembered of a classifier's retrains."""
    return f"retrain/{classifier}"


def ask(s3: "S3Client", bucket: str, request: Request) -> Request:
    """Keep the request; what was kept first under its fingerprint is what counts."""
    key = f"{folder(request.classifier)}/{request.fingerprint}.json"
    if objects.write(s3, bucket, key, request.model_dump_json(indent=1).encode()):
        return request
    return Request.model_validate_json(s3.get_object(Bucket=bucket, Key=key)["Body"].read())


def find(s3: "S3Client", bucket: str, classifier: str, fingerprint: str) -> Request | None:
    """The request of this fingerprint, None only when there surely is none."""
    key = f"{folder(classifier)}/{fingerprint}.json"
    found = objects.read(s3, bucket, key)
    return Request.model_validate_json(found.body) if found else None


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
    return bool(objects.write(s3, bucket, key, end.model_dump_json(indent=1).encode()))


def read(s3: "S3Client", bucket: str, classifier: str) -> tuple[Journal, str]:
    """The journal and the etag that guards the next write; an empty one where there is none."""
    if (found := objects.read(s3, bucket, _journal(classifier))) is None:
        return Journal(), ""
    return Journal.model_validate_json(found.body), found.etag


def write(s3: "S3Client", bucket: str, classifier: str, journal: Journal, etag: str) -> None:
    """Put the journal in the place of the one that `etag` names; Conflict when that has gone.

    A write whose answer was lost, and which botocore sent again, meets its own body: success.
    """
    key, body = _journal(classifier), journal.model_dump_json(indent=1).encode()
    if not objects.settle(s3, bucket, key, body, etag):
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
