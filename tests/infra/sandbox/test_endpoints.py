"""Endpoints on the sandbox serve, change over and roll back as SageMaker's do."""

import datetime
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError


@pytest.fixture(scope="module")
def echo(endpoints):
    """Three models, and an endpoint `live` that serves the first."""
    for name in ("one", "two", "large", "broken"):
        endpoints.model(name)
    endpoints.config("both", all=("one", 1), canary=("two", 0))
    endpoints.create("live", "one")
    yield endpoints
    endpoints.sagemaker.delete_endpoint(EndpointName="live")


@pytest.fixture
def live(echo):
    """The endpoint back on its first configuration."""
    if echo.settled("live")["EndpointConfigName"] != "one":
        echo.update("live", "one")
    return echo


def test_an_endpoint_creates_and_then_answers(echo):
    echo.sagemaker.create_endpoint(EndpointName="fresh", EndpointConfigName="one")
    refused = ""
    try:
        echo.ask("fresh")
    except ClientError as error:
        refused = error.response["Error"]["Code"]
    # A machine that stood still for a second finds it created already.
    now = echo.sagemaker.describe_endpoint(EndpointName="fresh")["EndpointStatus"]
    assert refused == "ValidationError" or now == "InService"

    described = echo.settled("fresh")

    assert described["EndpointStatus"] == "InService"
    assert echo.ask("fresh") == ('{"model": "one", "echo": "hi"}', "all")
    echo.sagemaker.delete_endpoint(EndpointName="fresh")
    with pytest.raises(ClientError, match="Could not find endpoint"):
        echo.sagemaker.describe_endpoint(EndpointName="fresh")


def test_a_model_that_does_not_come_up_fails_with_its_last_lines(echo):
    described = echo.create("broken", "broken")

    assert described["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in described["FailureReason"]
    assert described["FailureReason"].endswith("cannot load the weights")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: e.create("live", "one"), "Cannot create already existing endpoint "),
        (lambda e: e.config("one", all=("one", 1)), "already existing endpoint configuration"),
        (lambda e: e.model("one"), "Cannot create already existing model"),
        (lambda e: e.update("live", "nowhere"), "Could not find endpoint configuration"),
        (lambda e: e.update("nowhere", "one"), "Could not find endpoint "),
        (lambda e: e.config("x", all=("nowhere", 1)), "Could not find model"),
    ],
)
def test_what_aws_refuses_is_refused(echo, call, message):
    with pytest.raises(ClientError, match=f"ValidationException.*{message}"):
        call(echo)


def test_traffic_goes_by_weight_or_to_the_named_variant(live):
    live.update("live", "both")
    assert {live.ask("live")[1] for _ in range(10)} == {"all"}
    assert live.ask("live", TargetVariant="canary")[0] == '{"model": "two", "echo": "hi"}'

    weights = [
        {"VariantName": "all", "DesiredWeight": 0},
        {"VariantName": "canary", "DesiredWeight": 1},
    ]
    live.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="live", DesiredWeightsAndCapacities=weights
    )

    described = live.settled("live")["ProductionVariants"]
    assert [(v["VariantName"], v["CurrentWeight"]) for v in described] == [
        ("all", 0.0),
        ("canary", 1.0),
    ]
    assert {live.ask("live")[1] for _ in range(10)} == {"canary"}

    live.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="live",
        DesiredWeightsAndCapacities=[{"VariantName": "canary", "DesiredInstanceCount": 3}],
    )
    told = live.settled("live")["ProductionVariants"]
    assert [(v["CurrentWeight"], v["CurrentInstanceCount"]) for v in told] == [(0, 1), (1, 3)]


def test_the_old_version_answers_until_the_new_one_does(live, sandbox):
    live.sagemaker.update_endpoint(EndpointName="live", EndpointConfigName="large")
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        live.sagemaker.update_endpoint(EndpointName="live", EndpointConfigName="one")

    answers = [live.ask("live")[0]]
    (sandbox.state / "images" / "large-may-serve").touch()
    while live.sagemaker.describe_endpoint(EndpointName="live")["EndpointStatus"] == "Updating":
        answers.append(live.ask("live")[0])
        time.sleep(0.05)
    answers.append(live.ask("live")[0])

    assert live.settled("live")["EndpointConfigName"] == "large"
    assert answers[0] == '{"model": "one", "echo": "hi"}'
    assert answers[-1] == '{"model": "large", "echo": "hi"}'
    assert set(answers) <= {f'{{"model": "{name}", "echo": "hi"}}' for name in ("one", "large")}


@pytest.mark.parametrize(
    ("config", "fault"), [("broken", None), ("two", "silent-rollback"), ("two", "capacity-error")]
)
def test_a_failed_update_is_rolled_back_in_silence(live, faults, config, fault):
    if fault:
        faults(kind=fault)

    described = live.update("live", config)

    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "one")
    assert "FailureReason" not in described
    assert live.ask("live")[0] == '{"model": "one", "echo": "hi"}'


def test_an_alarm_rolls_a_canary_back(live, aws):
    aws("cloudwatch").put_metric_alarm(
        AlarmName="live-5xx",
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
        Period=60,
        Statistic="Sum",
        Threshold=0,
        TreatMissingData="ignore",  # no data leaves it as it is set
    )
    aws("cloudwatch").set_alarm_state(AlarmName="live-5xx", StateValue="ALARM", StateReason="test")
    size = {"Type": "CAPACITY_PERCENT", "Value": 50}
    routing = {"Type": "CANARY", "CanarySize": size, "WaitIntervalInSeconds": 1}
    deployment = {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "live-5xx"}]},
    }

    described = live.update("live", "two", DeploymentConfig=deployment)

    aws("cloudwatch").delete_alarms(AlarmNames=["live-5xx"])
    assert described["EndpointConfigName"] == "one"


def test_a_models_error_is_a_model_error_and_is_counted(live, aws):
    with pytest.raises(ClientError) as failed:
        live.ask("live", "boom")

    response = failed.value.response
    assert response["Error"]["Code"] == "ModelError"
    assert (response["OriginalStatusCode"], response["OriginalMessage"]) == (400, "bad input")
    now = datetime.datetime.now(datetime.UTC)
    points = aws("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocation4XXErrors",
        Dimensions=[
            {"Name": "EndpointName", "Value": "live"},
            {"Name": "VariantName", "Value": "all"},
        ],
        StartTime=now - datetime.timedelta(hours=1),
        EndTime=now + datetime.timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    assert sum(point["Sum"] for point in points) == 1


def test_a_variant_can_be_slow(live, faults):
    faults(kind="slow-variant", milliseconds=400)
    live.update("live", "two")

    started = time.monotonic()
    live.ask("live")

    assert time.monotonic() - started >= 0.4


def test_a_request_on_its_way_is_answered_by_the_version_that_is_replaced(live, faults, sandbox):
    """Asked before the update, it reaches its server long after the new version serves."""
    faults(kind="slow-variant", milliseconds=4000)
    live.update("live", "two")
    sandbox.clear_calls()

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(live.ask, "live")
        while "InvokeEndpoint" not in [call["action"] for call in sandbox.calls()]:
            assert not asked.done()
            time.sleep(0.05)
        time.sleep(0.5)  # recorded, and a moment later on its way to the old version
        live.update("live", "one")

    assert asked.result() == ('{"model": "two", "echo": "hi"}', "all")
    assert live.ask("live")[0] == '{"model": "one", "echo": "hi"}'
