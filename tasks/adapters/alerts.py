"""Word to people, over SNS."""

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tasks.adapters import objects

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient

_SUBJECT_LIMIT = 100  # SNS refuses longer ones


def notify(sns: "SNSClient", topic_arn: str, subject: str, message: str) -> str:
    """Publish one message; what comes back is its id."""
    clean = " ".join(subject.split())[:_SUBJECT_LIMIT]
    return sns.publish(TopicArn=topic_arn, Subject=clean, Message=message)["MessageId"]


def is_news(s3: "S3Client", bucket: str, key: str, message: str, within_s: float) -> bool:
    """Whether `key` did not hold this message within that time; then it holds it from now on.

    Of several who ask at once one hears yes.
    """
    there = objects.read(s3, bucket, key)
    if there is not None:
        age_s = (datetime.now(UTC) - there.written).total_seconds()
        if json.loads(there.body)["message"] == message and age_s < within_s:
            return False
    mine = json.dumps({"message": message, "by": uuid.uuid4().hex}).encode()
    return objects.settle(s3, bucket, key, mine, there.etag if there else "")


def forget(s3: "S3Client", bucket: str, key: str) -> None:
    """The message was not told after all. Written over: nobody here may delete objects."""
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps({"message": "", "by": ""}).encode())
