from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tasks.adapters import aws, verdicts
from tasks.records import Outcome, Verdict

BUCKET = "verdicts-models"
VERDICT = Verdict(
    outcome=Outcome.PASS,
    reasons=("accuracy 0.912 >= 0.850",),
    numbers={"accuracy": 0.912},
    classifier="news",
    version="3",
    bundle_digest="ab" * 32,
    champion_digest=None,
    snapshot_sha256="cd" * 32,
    evaluation_uri="s3://verdicts-models/evaluations/job/evaluation.json",
)


@pytest.fixture
def s3(sandbox) -> Iterator[Any]:
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    sandbox.clear_faults()
    sandbox.clear_calls()
    yield aws.client("s3")
    sandbox.clear_faults()


def test_a_verdict_comes_back_as_it_was(s3):
    uri = verdicts.write(s3, BUCKET, VERDICT)

    assert uri == f"s3://{BUCKET}/verdicts/news/{'ab' * 32}.json"
    assert verdicts.read(s3, BUCKET, "news", "ab" * 32) == VERDICT


def test_a_bundle_that_was_never_judged_has_no_verdict(s3):
    assert verdicts.read(s3, BUCKET, "news", "ff" * 32) is None


def test_the_last_verdict_counts(s3):
    verdicts.write(s3, BUCKET, VERDICT)

    verdicts.write(s3, BUCKET, replace(VERDICT, outcome=Outcome.FAIL))

    found = verdicts.read(s3, BUCKET, "news", "ab" * 32)
    assert found is not None
    assert found.outcome is Outcome.FAIL


@pytest.mark.parametrize("kind", ["throttle", "error-500", "commit-then-500", "reset"])
def test_a_fault_that_passes_is_not_noticed(s3, sandbox, kind):
    for action in ("PutObject", "GetObject"):
        sandbox.fault(service="s3", action=action, kind=kind, times=1)

    verdicts.write(s3, BUCKET, VERDICT)

    assert verdicts.read(s3, BUCKET, "news", "ab" * 32) == VERDICT


@pytest.mark.parametrize("kind", ["expired-credentials", "access-denied"])
def test_a_verdict_that_cannot_be_read_is_not_no_verdict(s3, sandbox, kind):
    sandbox.fault(service="s3", action="*", kind=kind, times=100)

    with pytest.raises(ClientError):
        verdicts.read(s3, BUCKET, "news", "ab" * 32)

    assert len(sandbox.calls(under=BUCKET)) <= 2


def test_a_bucket_that_is_not_there_is_not_no_verdict(s3):
    with pytest.raises(ClientError, match="NoSuchBucket"):
        verdicts.read(s3, "no-such-bucket", "news", "ab" * 32)
