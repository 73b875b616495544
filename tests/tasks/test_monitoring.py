"""Alarms and dashboards as stacks in the sandbox, where alarms follow their metrics."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks import drift_evidence, monitoring
from tasks.adapters import aws, gauges, stacks, updates
from tasks.classifiers import load
from tasks.drift_records import Checked, DriftOutcome, DriftVerdict
from tasks.errors import NotFound
from tasks.policy.recovery import blames
from tasks.records import Place

CHECKOUT = Path(__file__).resolve().parents[2]
SERVING = """
Resources:
  Topic: {Type: "AWS::SNS::Topic"}
Outputs:
  LoadBalancerFullName: {Value: app/watched/1}
  BlueTargetGroupArn: {Value: "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/blue/1"}
  GreenTargetGroupArn: {Value: "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/green/2"}
  BlueInstanceId: {Value: i-blue}
  GreenInstanceId: {Value: i-green}
"""


def place_of(environment, target):
    topic = aws.client("sns").create_topic(Name="watched")["TopicArn"]
    template = str(CHECKOUT / "infra/cloudformation/ec2-serving.yaml")
    return Place(
        *("news", "news-topic", target, "perennial", environment, "image", "role", "profile"),
        *(topic, template, "", "ml.m5.large", 20_000, "bucket"),
    )


@pytest.fixture(scope="module")
def news():
    return load("news", CHECKOUT / "classifiers")


@pytest.fixture(scope="module")
def balanced(sandbox):
    """What serves on EC2, as its stack tells."""
    place = place_of("watched", "ec2")
    stacks.ensure(aws.client("cloudformation"), f"{place.prefix}-ec2", SERVING, {}, {}, "one")
    return place


@pytest.fixture
def invoked(sandbox, monkeypatch):
    """An endpoint on which the new variant has all callers."""
    sides = [
        {"VariantName": "v1", "CurrentWeight": 0.0},
        {"VariantName": "v2", "CurrentWeight": 1.0},
    ]
    monkeypatch.setattr(updates, "there", lambda *_: {"ProductionVariants": sides})
    return lambda environment, target: place_of(environment, target)


def alarms_of(place):
    found = aws.client("cloudwatch").describe_alarms(AlarmNamePrefix=place.prefix)["MetricAlarms"]
    return {one["AlarmName"].removeprefix(f"{place.prefix}-"): one for one in found}


def measured(alarm):
    return [one for one in alarm["Metrics"] if "MetricStat" in one]


def seconds(alarm):
    return {one["MetricStat"]["Period"] for one in measured(alarm)}


def dashboard_of(place):
    found = aws.client("cloudwatch").get_dashboard(DashboardName=place.prefix)
    return json.loads(found["DashboardBody"])


def expect_drift_cost_and_history(place):
    """The dashboard has no hole and no overlap, and what a release alone does not tell."""
    alarms, widgets = alarms_of(place), dashboard_of(place)["widgets"]
    shown = [one["properties"] for one in widgets]
    (drift,) = [one for one in shown if "DriftScore" in str(one.get("metrics"))]
    (charges,) = [one for one in shown if "EstimatedCharges" in str(one.get("metrics"))]
    where = ["Classifier", "news", "Environment", place.environment]
    assert drift["metrics"][0][:6] == ["Perennial/Drift", "DriftScore", *where]
    threshold = alarms["drift-score"]["Threshold"]
    assert drift["annotations"]["horizontal"][0]["value"] == threshold
    assert charges["region"] == "us-east-1"
    history = [
        one["annotations"]["alarms"] for one in shown if "alarms" in one.get("annotations", {})
    ]
    assert sorted(history) == sorted([one["AlarmArn"]] for one in alarms.values())
    taken = [
        (x, y)
        for one in widgets
        for x in range(one["x"], one["x"] + one["width"])
        for y in range(one["y"], one["y"] + one["height"])
    ]
    assert len(taken) == len(set(taken)) == 24 * (1 + max(y for _, y in taken))


def with_alarms(news, **changed):
    return news.model_copy(update={"alarms": news.alarms.model_copy(update=changed)})


def test_ec2_gets_its_alarms_and_a_dashboard_of_both_sides(balanced, news):
    told = monitoring.ensure_alarms.fn(balanced, news)

    alarms = alarms_of(balanced)
    assert set(alarms) == {
        *("ec2-error-rate", "ec2-latency", "ec2-no-requests", "ec2-no-healthy-host"),
        "drift-score",
    }
    assert (alarms["ec2-error-rate"]["Threshold"], alarms["ec2-latency"]["Threshold"]) == (5, 500)
    assert seconds(alarms["ec2-no-requests"]) == {1800}
    assert all(one["AlarmActions"] == [balanced.topic_arn] for one in alarms.values())
    assert all("Next: " in one["AlarmDescription"] for one in alarms.values())
    status, *widgets = dashboard_of(balanced)["widgets"]
    assert set(status["properties"]["alarms"]) == {one["AlarmArn"] for one in alarms.values()}
    drawn = json.dumps(widgets)
    assert "targetgroup/blue/1" in drawn
    assert "targetgroup/green/2" in drawn
    assert told.endswith("perennial-watched-news")
    expect_drift_cost_and_history(balanced)


def test_the_stack_changes_only_with_a_threshold(balanced, news, sandbox):
    monitoring.ensure_alarms.fn(balanced, news)
    sandbox.clear_calls()
    monitoring.ensure_alarms.fn(balanced, news)
    same = [call["action"] for call in sandbox.calls()]
    monitoring.ensure_alarms.fn(balanced, with_alarms(news, error_percent=2.5, quiet_minutes=60))

    assert "UpdateStack" not in same
    alarms = alarms_of(balanced)
    assert alarms["ec2-error-rate"]["Threshold"] == 2.5
    assert seconds(alarms["ec2-no-requests"]) == {3600}


@pytest.mark.parametrize(("target", "slow_ms"), [("sagemaker", 500), ("serverless", 5000)])
def test_alarms_of_an_endpoint_watch_the_variant_that_serves(invoked, news, target, slow_ms):
    place = invoked(target, target)

    monitoring.ensure_alarms.fn(place, news)

    alarms = alarms_of(place)
    assert set(alarms) == {
        *("endpoint-error-rate", "endpoint-latency", "endpoint-no-requests", "drift-score")
    }
    assert alarms["endpoint-latency"]["Threshold"] == slow_ms
    told = [one["MetricStat"]["Metric"] for one in measured(alarms["endpoint-no-requests"])]
    counted = next(one for one in told if one["MetricName"] == "Invocations")
    assert {one["Name"]: one["Value"] for one in counted["Dimensions"]} == {
        "EndpointName": place.endpoint,
        "VariantName": "v2",
    }
    searched = json.dumps(dashboard_of(place))
    for metric in ("Invocations", "Invocation5XXErrors", "ModelLatency", "CPUUtilization"):
        assert metric in searched
    expect_drift_cost_and_history(place)


def test_errors_and_silence_turn_their_alarms_red_and_not_the_others(invoked, news):
    place = invoked("red", "sagemaker")
    cloudwatch = aws.client("cloudwatch")
    where = [
        {"Name": "EndpointName", "Value": place.prefix},
        {"Name": "VariantName", "Value": "v2"},
    ]
    for age in range(-110, 250, 20):  # the last minutes are full however late the alarms look
        at = datetime.now(UTC) - timedelta(seconds=age)
        points = {"Invocations": 10.0, "Invocation5XXErrors": 1.0, "ModelLatency": 20_000.0}
        cloudwatch.put_metric_data(
            Namespace="AWS/SageMaker",
            MetricData=[
                {"MetricName": name, "Value": value, "Dimensions": where, "Timestamp": at}
                for name, value in points.items()
            ],
        )

    monitoring.ensure_alarms.fn(place, news)

    become(
        place,
        {
            "endpoint-error-rate": "ALARM",
            "endpoint-latency": "OK",
            "endpoint-no-requests": "OK",
            "drift-score": "INSUFFICIENT_DATA",  # no check has said anything yet
        },
    )


def test_who_is_asked_by_the_monitor_only_is_silent_all_the_same(invoked, news):
    place = invoked("alone", "sagemaker")
    cloudwatch, now = aws.client("cloudwatch"), datetime.now(UTC)
    where = {"EndpointName": place.prefix, "VariantName": "v2"}
    mine = {"Classifier": "news", "Environment": place.environment}
    for minutes in range(1, 30, 5):
        at = now - timedelta(minutes=minutes)
        gauges.put(cloudwatch, "AWS/SageMaker", {"Invocations": 1}, where, at)
        gauges.put(cloudwatch, "Perennial/Health", {"Probes": 1}, mine, at)

    monitoring.ensure_alarms.fn(place, news)

    become(place, {"endpoint-no-requests": "ALARM"})
    gauges.put(cloudwatch, "AWS/SageMaker", {"Invocations": 1}, where, now)
    become(place, {"endpoint-no-requests": "OK"})


def become(place, states):
    """Wait until these alarms are in these states; they are looked at one after the other."""
    end = time.monotonic() + 60
    while not states.items() <= {n: a["StateValue"] for n, a in alarms_of(place).items()}.items():
        assert time.monotonic() < end, alarms_of(place)
        time.sleep(0.2)


def test_drift_turns_its_alarm_red_and_a_score_that_chance_explains_does_not(invoked, news):
    places = [invoked(name, "sagemaker") for name in ("drifted", "chance")]
    for place in places:
        monitoring.ensure_alarms.fn(place, news)
    about = Checked("news", "7", "d" * 64, datetime.now(UTC), datetime.now(UTC))
    verdict = DriftVerdict(DriftOutcome.DETECTED, about, 500, 500, 2000, score=0.4)
    drift_evidence.put_metric.fn(places[0], verdict)
    drift_evidence.put_metric.fn(places[1], replace(verdict, outcome=DriftOutcome.OK))

    for place, state in zip(places, ("ALARM", "OK"), strict=True):
        become(place, {"drift-score": state})
    assert not blames("drift-score")


def test_nothing_that_serves_is_told_with_the_next_command(sandbox, news):
    with pytest.raises(NotFound, match="run deploy for news"):
        monitoring.ensure_alarms.fn(place_of("nowhere", "ec2"), news)
