"""Verdicts of the evaluation gate in S3: `verdicts/{classifier}/{bundle_digest}.json`."""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from pydantic import TypeAdapter

from tasks.records import Verdict

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_VERDICT = TypeAdapter(Verdict)


def write(s3: "S3Client", bucket: str, verdict: Verdict) -> str:
    """Write the verdict over an earlier one of the same bundle; answers with its URI."""
    key = _key(verdict.classifier, verdict.bundle_digest)
    body = _VERDICT.dump_json(verdict, indent=1)
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
    return f"s3://{bucket}/{key}"


def read(s3: "S3Client", bucket: str, classifier: str, bundle_digest: str) -> Verdict | None:
    """The verdict on a bundle, None when it was never judged."""
    try:
        found = s3.get_object(Bucket=bucket, Key=_key(classifier, bundle_digest))
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        return None
    return _VERDICT.validate_json(found["Body"].read())


def _key(classifier: str, bundle_digest: str) -> str:
    return f"verdicts/{classifier}/{bundle_digest}.json"
