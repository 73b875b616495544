"""What an endpoint may end as besides well, and what is made of it; the real walk is in the flows'
tests."""

import pytest

from tasks.adapters import endpoints, updates, waits
from tasks.errors import DeployFailed
from tasks.records import Place, Served

PLACE = Place(**dict.fromkeys(Place.__dataclass_fields__, "") | {"classifier": "news"})
NEW = Served("2", "s3://models/2", "b" * 64, "sagemaker")


class SageMaker:
    """Stand in for an endpoint that AWS leaves in some state; remembers what it was asked."""

    def __init__(self, status, current=(1.0, 0.0), desired=None):
        told = zip(("v1", "v2"), current, desired or current, strict=True)
        self.asked = []
        self.endpoint = {
            "EndpointStatus": status,
            "EndpointConfigName": "old-config",
            "EndpointArn": "arn",
            "FailureReason": "the fleet is mixed",
            "ProductionVariants": [
                {"VariantName": name, "CurrentWeight": now, "DesiredWeight": then}
                for name, now, then in told
            ],
        }

    def describe_endpoint(self, EndpointName):  # noqa: N803
        return self.endpoint

    def list_tags(self, ResourceArn):  # noqa: N803
        return {"Tags": []}

    def __getattr__(self, action):
        return lambda **asked: self.asked.append(action)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(updates, "_UPDATE_S", 0.01)
    monkeypatch.setattr(waits, "_FIRST_S", 0.02)


@pytest.mark.parametrize(
    ("status", "step"),
    [
        ("Failed", endpoints.restore),
        ("UpdateRollbackFailed", endpoints.restore),
        ("UpdateRollbackFailed", endpoints.stage),
    ],
)
def test_an_endpoint_that_cannot_be_changed_is_told_and_left_alone(status, step):
    sagemaker = SageMaker(status)

    with pytest.raises(DeployFailed, match=f"is {status}.*: the fleet is mixed; .*describe-end"):
        step(lambda _: sagemaker, PLACE, NEW, "op")

    assert sagemaker.asked == []


@pytest.mark.parametrize("status", ["Updating", "SystemUpdating", "RollingBack"])
def test_a_change_that_never_ends_is_a_failure(impatient, status):
    with pytest.raises(DeployFailed, match=f"is still {status} after"):
        updates.arrived(SageMaker(status), PLACE, "new-config")


def test_weights_are_believed_when_they_are_the_current_ones():
    on_the_way = SageMaker("InService", current=(1.0, 0.0), desired=(70.0, 30.0))

    with pytest.raises(DeployFailed, match="with v1 100, v2 0, asked for was v1 70, v2 30"):
        updates.shift(on_the_way, PLACE, on_the_way.endpoint, {"v1": 70, "v2": 30})

    assert on_the_way.asked == ["update_endpoint_weights_and_capacities"]


def test_weights_that_are_so_are_not_asked_for_again():
    there = SageMaker("InService", current=(7.0, 3.0))

    told = updates.shift(there, PLACE, there.endpoint, {"v1": 70, "v2": 30})

    assert (told, there.asked) == ("v1 70, v2 30", [])
