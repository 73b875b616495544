"""Word to people, over SNS."""

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient

_SUBJECT_LIMIT = 100  # SNS refuses longer ones
_LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"})


def notify(sns: "SNSClient", topic_arn: str, subject: str, message: str) -> str:
    """Publish one message; what comes back is its id."""
    clean = " ".join(subject.split())[:_SUBJECT_LIMIT]
    return sns.publish(TopicArn=topic_arn, Subject=clean, Message=message)["MessageId"]


def is_news(s3: "S3Client", bucket: str, key: str, message: str, within_s: float) -> bool:
    """Whether `key` did not hold this message within that time; then it holds it from now on.

    Of several who ask at once one hears yes.
    """
    there = _read(s3, bucket, key)
    guard: dict[str, Any] = {"IfNoneMatch": "*"}
    if there is not None:
        told, written, etag = there
        if told["message"] == message and (datetime.now(UTC) - written).total_seconds() < within_s:
            return False
        guard = {"IfMatch": etag}
    mine = {"message": message, "by": uuid.uuid4().hex}
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(mine).encode(), **guard)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _LOST:
            raise
        # A write whose answer was lost, and which botocore sent again, meets its own body.
        now = _read(s3, bucket, key)
        return now is not None and now[0] == mine
    return True


def forget(s3: "S3Client", bucket: str, key: str) -> None:
    """The message was not told after all. Written over: nobody here may delete objects."""
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps({"message": "", "by": ""}).encode())


def _read(s3: "S3Client", bucket: str, key: str) -> tuple[dict[str, str], datetime, str] | None:
    try:
        found = s3.get_object(Bucket=bucket, Key=key)
    except s3.exceptions.NoSuchKey:
        return None
    return json.loads(found["Body"].read()), found["LastModified"], found["ETag"]
