"""What people are told, how often, and that nothing fails because nobody could be told."""

import json
from functools import cache
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tasks import alerts
from tasks.adapters import alerts as sent
from tasks.adapters import aws, objects
from tasks.records import Environment, Place

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # Apprise asks for it
BUCKET = "alerts-models"
CLIENT = cache(aws.client)  # making one takes longer than a test


@pytest.fixture
def place(monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("REGION", "us-east-1"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "test")
    monkeypatch.setattr(aws, "client", CLIENT)
    with mock_aws():
        aws.client("s3").create_bucket(Bucket=BUCKET)
        topic = aws.client("sns").create_topic(Name="told")["TopicArn"]
        yield Place(
            *("news", "news-topic", "ec2", "perennial", "dev", "image", "role", "profile"),
            *(topic, "template", "", "ml.m5.large", 20_000, BUCKET),
        )


@pytest.fixture
def heard(place):
    """All that the topic's subscriber got, as (subject, message)."""
    sqs = aws.client("sqs")
    queue = sqs.create_queue(QueueName="told")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    aws.client("sns").subscribe(TopicArn=place.topic_arn, Protocol="sqs", Endpoint=arn["QueueArn"])

    def read():
        found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        bodies = [json.loads(one["Body"]) for one in found]
        return [(body["Subject"], body["Message"]) for body in bodies]

    return read


def broken(*_):
    """Stand in for a topic whose key the worker may not use."""
    raise ClientError({"Error": {"Code": "KMSAccessDenied", "Message": "no"}}, "Publish")


def tell(place, subject="news went back", message="p99 was 900 ms", about=""):
    return alerts.notify.fn(place, subject, message, "make status", about)


def test_a_message_carries_the_runs_page_and_the_next_command(place, heard, monkeypatch):
    page = "http://prefect/runs/1"
    monkeypatch.setattr(alerts, "flow_run", SimpleNamespace(ui_url=page))

    assert tell(place)

    told = f"p99 was 900 ms\n\nWhere: perennial-dev-news\n\nNext: make status\n\nRun: {page}"
    assert heard() == [("news went back", told)]


def test_the_same_is_told_once_and_anything_else_at_once(place, heard):
    told = [tell(place), tell(place), tell(place, message="p99 was 950 ms"), tell(place, "other")]

    assert told == [True, False, True, True]
    assert len(heard()) == 3


def test_the_same_words_about_another_release_are_told(place, heard):
    assert [tell(place, about=op_id) for op_id in ("one", "one", "two")] == [True, False, True]


def test_the_same_is_told_again_after_an_hour(place, heard, monkeypatch):
    tell(place)
    monkeypatch.setattr(alerts, "_SAME_S", 0)

    assert tell(place)


def test_who_could_not_be_told_is_told_at_the_next_time(place, heard, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        patch.setattr(sent, "notify", broken)
        assert not tell(place)

    assert "nobody was told 'news went back'" in caplog.text
    assert tell(place)
    assert len(heard()) == 1


@pytest.fixture
def slack_and_mail(place, letterbox):
    urls = f"{letterbox.webhook}\n{letterbox.mail}\n"
    aws.client("secretsmanager").create_secret(Name="perennial-dev/notify-urls", SecretString=urls)
    return letterbox


def test_slack_and_mail_are_told_beside_the_topic_and_as_often(place, heard, slack_and_mail):
    told = [tell(place), tell(place)]

    assert told == [True, False]
    ((_, message),) = heard()
    (post,), (letter,) = slack_and_mail.posts, slack_and_mail.letters
    assert post["title"] == letter["Subject"] == "perennial-dev: news went back"
    assert post["message"] == message
    assert letter.get_body(("plain",)).get_content().split() == message.split()


def test_a_way_that_fails_hides_no_other_and_tells_no_secret(
    place, heard, slack_and_mail, monkeypatch, caplog
):
    slack_and_mail.status = 403
    assert tell(place)
    monkeypatch.setattr(sent, "notify", broken)
    assert tell(place, "other")

    assert (len(heard()), len(slack_and_mail.letters)) == (1, 2)
    assert "notifier 1 (JSON) did not take 'news went back'" in caplog.text
    assert "did not take 'other': " in caplog.text
    assert "nobody" not in caplog.text
    assert "hush" not in caplog.text


def test_notifiers_that_cannot_be_read_or_understood_leave_the_topic(place, heard, caplog):
    secret = aws.client("secretsmanager")
    made = secret.create_secret(Name=place.notify_secret, SecretString="nix://hush/hush")
    first = tell(place)
    secret.delete_secret(SecretId=made["ARN"])

    assert first
    assert tell(place, "other")
    assert len(heard()) == 2
    assert "notifier 1 did not take" in caplog.text
    assert "Slack and e-mail did not get 'other'" in caplog.text
    assert "hush" not in caplog.text


def test_what_is_no_single_classifiers_is_told_too(place, heard):
    environment = Environment("perennial", "dev", place.topic_arn, BUCKET)

    assert [tell(environment), tell(environment)] == [True, False]
    assert "Where: perennial-dev\n" in heard()[0][1]


def test_what_was_told_before_cannot_be_read_so_it_is_told(place, heard):
    aws.client("s3").delete_bucket(Bucket=BUCKET)

    assert tell(place)
    assert len(heard()) == 1


def test_of_two_at_the_same_moment_one_tells(place, monkeypatch):
    s3, key = aws.client("s3"), "told/one"
    read = objects.read

    def late(*where):
        there = read(*where)
        if there is None:
            monkeypatch.setattr(objects, "read", read)
            assert sent.is_news(s3, BUCKET, key, "gone back", 60)
        return there

    monkeypatch.setattr(objects, "read", late)
    assert not sent.is_news(s3, BUCKET, key, "gone back", 60)
