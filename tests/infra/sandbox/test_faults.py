"""Faults look to botocore like AWS's own."""

import time

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

CALLS = {
    ("sagemaker", "ListModels"): lambda aws: aws("sagemaker").list_models(),
    ("iam", "ListRoles"): lambda aws: aws("iam").list_roles(),
    ("ec2", "DescribeVpcs"): lambda aws: aws("ec2").describe_vpcs(),
    ("s3", "PutObject"): lambda aws: aws("s3").put_object(Bucket="faulty", Key="k", Body=b"1"),
    ("cloudwatch", "ListMetrics"): lambda aws: aws("cloudwatch").list_metrics(),
    ("logs", "DescribeLogGroups"): lambda aws: aws("logs").describe_log_groups(),
    ("elbv2", "DescribeLoadBalancers"): lambda aws: aws("elbv2").describe_load_balancers(),
}
CODES = {
    "throttle": {
        "sagemaker": "ThrottlingException",
        "logs": "ThrottlingException",
        "cloudwatch": "ThrottlingException",
        "s3": "SlowDown",
        "ec2": "RequestLimitExceeded",
        "": "Throttling",
    },
    "error-500": {"s3": "InternalError", "": "InternalFailure"},
    "expired-credentials": {
        "sagemaker": "ExpiredTokenException",
        "logs": "ExpiredTokenException",
        "cloudwatch": "ExpiredTokenException",
        "": "ExpiredToken",
    },
    "access-denied": {"s3": "AccessDenied", "iam": "AccessDenied", "ec2": "UnauthorizedOperation"},
}


@pytest.fixture(scope="module", autouse=True)
def faulty(aws):
    aws("s3").create_bucket(Bucket="faulty")


@pytest.mark.parametrize(("service", "action"), CALLS)
@pytest.mark.parametrize("kind", ["throttle", "error-500", "expired-credentials"])
def test_a_fault_has_the_code_of_its_protocol(aws, faults, sandbox, service, action, kind):
    sandbox.clear_calls()
    faults(service=service, action=action, kind=kind)

    with pytest.raises(ClientError) as failed:
        CALLS[service, action](aws)
    CALLS[service, action](aws)

    expected = CODES[kind].get(service, CODES[kind][""])
    assert failed.value.response["Error"]["Code"] == expected
    calls = sandbox.calls(under="faulty" if service == "s3" else "")
    seen = [c["fault"] for c in calls if (c["service"], c["action"]) == (service, action)]
    assert seen == [kind, None]


def test_a_call_of_s3_tells_its_bucket_and_key(aws, sandbox):
    aws("s3").put_object(Bucket="faulty", Key="told/a=1 b.txt", Body=b"1")

    told = [(call["action"], call["path"]) for call in sandbox.calls(under="faulty/told")]
    assert told == [("PutObject", "/faulty/told/a=1 b.txt")]
    assert sandbox.calls(under="faulty/tol") == []


@pytest.mark.parametrize(("service", "code"), CODES["access-denied"].items())
def test_access_can_be_denied(aws, faults, service, code):
    faults(service=service, action="*", kind="access-denied")
    call = next(call for (named, _), call in CALLS.items() if named == service)

    with pytest.raises(ClientError) as failed:
        call(aws)

    assert failed.value.response["Error"]["Code"] == code


def test_a_reset_is_a_broken_connection(aws, faults):
    faults(service="s3", action="PutObject", kind="reset")

    with pytest.raises(ConnectionClosedError):
        aws("s3").put_object(Bucket="faulty", Key="reset", Body=b"1")


def test_a_hang_is_silence(sandbox, faults, clients_of):
    client = clients_of(sandbox.url, "sagemaker")
    client._endpoint.http_session._timeout = 1
    faults(service="sagemaker", action="ListModels", kind="hang", seconds=3)
    started = time.monotonic()

    with pytest.raises((ReadTimeoutError, ConnectionClosedError)):
        client.list_models()

    assert time.monotonic() - started >= 1


def test_commit_then_500_did_it(aws, faults):
    faults(service="s3", action="PutObject", kind="commit-then-500")

    with pytest.raises(ClientError, match="InternalError"):
        aws("s3").put_object(Bucket="faulty", Key="committed", Body=b"1")

    assert aws("s3").get_object(Bucket="faulty", Key="committed")["Body"].read() == b"1"


def test_a_fault_waits_and_repeats_as_asked(aws, faults):
    faults(service="iam", action="ListRoles", kind="throttle", after=1, times=2)
    outcomes = []
    for _ in range(4):
        try:
            aws("iam").list_roles()
            outcomes.append("ok")
        except ClientError:
            outcomes.append("throttled")

    assert outcomes == ["ok", "throttled", "throttled", "ok"]
