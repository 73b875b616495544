"""Word to people, over SNS."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

_SUBJECT_LIMIT = 100  # SNS refuses longer ones


def notify(sns: "SNSClient", topic_arn: str, subject: str, message: str) -> str:
    """Publish one message; what comes back is its id."""
    clean = " ".join(subject.split())[:_SUBJECT_LIMIT]
    return sns.publish(TopicArn=topic_arn, Subject=clean, Message=message)["MessageId"]
