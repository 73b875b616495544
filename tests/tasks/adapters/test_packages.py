from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tasks.adapters import aws, packages

DIGEST = "ab" * 32


@pytest.fixture
def sagemaker(sandbox) -> Iterator[Any]:
    boto3.client("s3").create_bucket(Bucket="packages-models")
    sandbox.clear_faults()
    sandbox.clear_calls()
    yield aws.client("sagemaker")
    sandbox.clear_faults()


def listed(sagemaker: Any, group: str, digest: str = DIGEST) -> str:
    return packages.create(
        sagemaker,
        group,
        image="123456789012.dkr.ecr.us-east-1.amazonaws.com/perennial-serving:1",
        bundle_uri="s3://packages-models/training/job/output/model.tar.gz",
        bundle_digest=digest,
        metadata={"mlflow_version": "1"},
        tags={"Project": "perennial", "CostCenter": "ML-Team"},
    )


def test_a_bundle_is_one_package_however_often_it_is_listed(sagemaker):
    first = listed(sagemaker, "perennial-test-once")
    second = listed(sagemaker, "perennial-test-once")

    assert first == second
    found = packages.versions(sagemaker, "perennial-test-once")
    assert [(one.arn, one.version, one.approval) for one in found] == [
        (first, 1, "PendingManualApproval")
    ]


def test_the_newest_package_is_first_and_each_is_found_by_its_bundle(sagemaker):
    listed(sagemaker, "perennial-test-two")
    second = listed(sagemaker, "perennial-test-two", "cd" * 32)

    assert [one.version for one in packages.versions(sagemaker, "perennial-test-two")] == [2, 1]
    found = packages.find(sagemaker, "perennial-test-two", "cd" * 32)
    assert found is not None
    assert found.arn == second
    assert packages.find(sagemaker, "perennial-test-two", "ef" * 32) is None


@pytest.mark.parametrize("decision", ["Approved", "Rejected"])
def test_a_decision_is_on_the_package(sagemaker, decision):
    arn = listed(sagemaker, f"perennial-test-{decision}")

    packages.decide(sagemaker, arn, decision, "accuracy 0.900 >= 0.850")
    packages.decide(sagemaker, arn, decision, "accuracy 0.900 >= 0.850")

    found = sagemaker.describe_model_package(ModelPackageName=arn)
    assert found["ModelApprovalStatus"] == decision
    assert found["ApprovalDescription"] == "accuracy 0.900 >= 0.850"


def test_the_group_carries_the_cost_tags(sagemaker):
    listed(sagemaker, "perennial-test-tags")

    group = sagemaker.describe_model_package_group(ModelPackageGroupName="perennial-test-tags")
    tags = sagemaker.list_tags(ResourceArn=group["ModelPackageGroupArn"])["Tags"]
    assert {"Key": "CostCenter", "Value": "ML-Team"} in tags


@pytest.mark.parametrize("action", ["CreateModelPackageGroup", "CreateModelPackage"])
@pytest.mark.parametrize("kind", ["throttle", "error-500", "commit-then-500", "reset"])
def test_a_fault_that_passes_makes_no_second_package(sagemaker, sandbox, kind, action):
    group = f"perennial-{kind}-{action}"
    sandbox.fault(service="sagemaker", action=action, kind=kind, times=1)

    listed(sagemaker, group)

    assert len(packages.versions(sagemaker, group)) == 1


@pytest.mark.parametrize("kind", ["expired-credentials", "access-denied"])
def test_a_fault_that_stays_ends_the_listing_at_once(sagemaker, sandbox, kind):
    sandbox.fault(service="sagemaker", action="*", kind=kind, times=100)

    with pytest.raises(ClientError, match=r"expired|not authorized"):
        listed(sagemaker, f"perennial-{kind}")

    assert sum(call["service"] == "sagemaker" for call in sandbox.calls()) <= 2
