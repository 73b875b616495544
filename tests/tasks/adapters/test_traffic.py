from datetime import UTC, datetime, timedelta

import pytest

from tasks.adapters import aws, traffic
from tasks.records import Arm

NOON = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=30)


@pytest.fixture
def write(sandbox):
    """Write values of a variant's metric, so many minutes after noon."""

    def write(variant, metric, values, minute=0):
        named = [
            {"Name": "EndpointName", "Value": "counted"},
            {"Name": "VariantName", "Value": variant},
        ]
        point = {"MetricName": metric, "Dimensions": named, "Values": values}
        point["Timestamp"] = NOON + timedelta(minutes=minute)
        aws.client("cloudwatch").put_metric_data(Namespace="AWS/SageMaker", MetricData=[point])

    return write


def arms(*variants, since=NOON, until=NOON + timedelta(minutes=3), slow_s=0.5):
    sides = [(name, {"EndpointName": "counted", "VariantName": name}) for name in variants]
    client = aws.client("cloudwatch")
    return traffic.arms(client, traffic.VARIANT, sides, since, until, slow_s)


def test_both_arms_are_counted_over_the_same_minutes(write):
    for minute, latencies in ((0, [0.1e6] * 90 + [0.5e6] * 8), (2, [0.6e6, 0.7e6])):
        write("new", "ModelLatency", latencies, minute)
        write("new", "Invocations", [1.0] * len(latencies), minute)
    write("new", "Invocation5XXErrors", [0.0, 1.0, 1.0])
    write("old", "Invocations", [1.0] * 5, minute=1)
    write("old", "ModelLatency", [1e6] * 5, minute=1)
    write("old", "Invocations", [1.0] * 7, minute=3)
    write("old", "Invocations", [1.0] * 9, minute=-1)

    new, old = arms("new", "old", since=NOON + timedelta(seconds=59))

    assert new == Arm("new", 100, 2, 2, p50_ms=100, p95_ms=500, p99_ms=600)
    assert old == Arm("old", 5, 0, 5, p50_ms=1000, p95_ms=1000, p99_ms=1000)


def test_without_data_nothing_is_counted_and_no_latency_is_zero(sandbox):
    (arm,) = arms("nobody")

    assert arm == Arm("nobody", 0, 0, 0, None, None, None)


def test_errors_that_arrive_before_their_requests_are_requests(write):
    write("early", "Invocation5XXErrors", [1.0] * 3)

    (arm,) = arms("early")

    assert (arm.requests, arm.errors) == (3, 3)
