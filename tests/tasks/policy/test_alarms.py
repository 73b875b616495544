import pytest
from pydantic import ValidationError

from tasks.policy.alarms import Alarms


def test_thresholds_are_those_of_the_requirements():
    assert Alarms().parameters("ec2") == {
        "ErrorPercent": "5",
        "ErrorMinutes": "3",
        "LatencyMs": "500",
        "LatencyMinutes": "5",
        "QuietMinutes": "30",
    }


@pytest.mark.parametrize(("target", "latency"), [("sagemaker", "500"), ("serverless", "5000")])
def test_an_endpoint_that_starts_when_asked_may_take_longer(target, latency):
    assert Alarms().parameters(target)["LatencyMs"] == latency


@pytest.mark.parametrize("wrong", [{"error_percent": 0}, {"quiet_minutes": 1441}, {"errors": 1}])
def test_what_cloudwatch_would_refuse_is_refused_in_the_file(wrong):
    with pytest.raises(ValidationError):
        Alarms.model_validate(wrong)
