import json
import time

import pytest

from infra.sandbox import alarms


def test_metric_math_fills_what_is_missing():
    rate = "100 * (FILL(target, 0) + FILL(balancer, 0)) / requests"

    assert alarms.calculate(rate, {"target": 3.0, "balancer": None, "requests": 30.0}) == 10.0


def test_a_rate_of_no_requests_has_no_value():
    assert alarms.calculate("errors / requests", {"errors": 0.0, "requests": 0.0}) is None


def test_unknown_metric_math_is_refused():
    with pytest.raises(ValueError, match="is not known"):
        alarms.calculate("IF(a, 1, 2)", {"a": 1.0})


class Told:
    """A topic, and the queue in which its messages are read."""

    def __init__(self, sns, sqs):
        self.sqs = sqs
        self.topic = sns.create_topic(Name="told")["TopicArn"]
        self.queue = sqs.create_queue(QueueName="told")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])
        sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])
        self.heard = []

    def next(self):
        """The next message of an alarm, waited for."""
        end = time.monotonic() + 60
        while not self.heard:
            assert time.monotonic() < end, "no message came"
            found = self.sqs.receive_message(QueueUrl=self.queue, WaitTimeSeconds=1)
            for message in found.get("Messages", []):
                handle = message["ReceiptHandle"]  # kept, it would come again after 30 s
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=handle)
                self.heard.append(json.loads(json.loads(message["Body"])["Message"]))
        return self.heard.pop(0)


@pytest.fixture
def told(aws):
    return Told(aws("sns"), aws("sqs"))


@pytest.fixture
def latency(aws):
    """Write so many points of a metric."""

    def write(value, number=1):
        point = {"MetricName": "Latency", "Values": [value], "Counts": [number]}
        aws("cloudwatch").put_metric_data(Namespace="Proved", MetricData=[point])

    return write


def test_an_alarm_tells_its_topic_that_it_is_red_and_that_it_is_over(aws, told, latency):
    cloudwatch = aws("cloudwatch")
    latency(9.0)
    # One that cannot be told keeps no other silent.
    cloudwatch.put_metric_alarm(
        AlarmName="odd", EvaluationPeriods=1, Threshold=5.0,
        ComparisonOperator="GreaterThanThreshold",
        Metrics=[
            {"Id": "either", "Expression": "IF(one, 1, 2)", "ReturnData": True},
            {
                "Id": "one", "ReturnData": False,
                "MetricStat": {
                    "Metric": {"Namespace": "Proved", "MetricName": "Latency"},
                    "Period": 60, "Stat": "Sum",
                },
            },
        ],
    )  # fmt: skip
    for name, enabled in (("silent", False), ("slow", True)):
        cloudwatch.put_metric_alarm(
            AlarmName=name, Namespace="Proved", MetricName="Latency", Statistic="Average",
            Period=60, EvaluationPeriods=1, Threshold=5.0, TreatMissingData="notBreaching",
            ComparisonOperator="GreaterThanThreshold", ActionsEnabled=enabled,
            AlarmActions=[told.topic], OKActions=[told.topic],
        )  # fmt: skip

    red = told.next()
    latency(0.0, number=99)
    over = told.next()

    assert (red["AlarmName"], red["OldStateValue"], red["NewStateValue"]) == (
        "slow", "INSUFFICIENT_DATA", "ALARM",
    )  # fmt: skip
    assert "[9.0] against the threshold 5.0" in red["NewStateReason"]
    assert (over["AlarmName"], over["OldStateValue"], over["NewStateValue"]) == (
        "slow", "ALARM", "OK",
    )  # fmt: skip
    end = time.monotonic() + 60
    while not all_are(cloudwatch, "OK", "silent", "slow"):
        assert time.monotonic() < end, "an alarm stays red"
        time.sleep(0.2)
    assert told.heard == []


def all_are(cloudwatch, state, *names):
    found = cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]
    return {alarm["StateValue"] for alarm in found} == {state}


def test_an_alarm_that_is_put_again_keeps_its_state(aws):
    cloudwatch = aws("cloudwatch")
    asked = {
        "AlarmName": "again", "Namespace": "Proved", "MetricName": "None", "Statistic": "Sum",
        "Period": 60, "EvaluationPeriods": 1, "Threshold": 5.0, "TreatMissingData": "ignore",
        "ComparisonOperator": "GreaterThanThreshold",
    }  # fmt: skip

    def state():
        (alarm,) = cloudwatch.describe_alarms(AlarmNames=["again"])["MetricAlarms"]
        return alarm["StateValue"]

    cloudwatch.put_metric_alarm(**asked)
    assert state() == "INSUFFICIENT_DATA"
    cloudwatch.set_alarm_state(AlarmName="again", StateValue="ALARM", StateReason="a test")
    cloudwatch.put_metric_alarm(**asked)

    assert state() == "ALARM"
