from datetime import UTC, datetime

import pytest

from tasks.adapters import alarms, aws

PREFIX = "perennial-alarms-news-"


@pytest.fixture
def cloudwatch(sandbox):
    client = aws.client("cloudwatch")
    names = [f"{PREFIX}b", f"{PREFIX}a", f"{PREFIX}quiet", "perennial-alarms-genre-a"]
    for name in names:
        client.put_metric_alarm(
            AlarmName=name,
            Namespace="AWS/ApplicationELB",
            MetricName="RequestCount",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="ignore",
        )
    yield client
    client.delete_alarms(AlarmNames=names)


def turn_red(cloudwatch, name):
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")


def test_only_the_red_ones_of_the_place_are_told_and_since_when(cloudwatch):
    before = datetime.now(UTC).replace(microsecond=0)
    for name in (f"{PREFIX}b", f"{PREFIX}a", "perennial-alarms-genre-a"):
        turn_red(cloudwatch, name)

    found = alarms.red(cloudwatch, PREFIX)

    assert [alarm.name for alarm in found] == [f"{PREFIX}a", f"{PREFIX}b"]
    assert all(before <= alarm.since <= datetime.now(UTC) for alarm in found)
