"""Model packages: a repeated request makes one package."""

import pytest
from botocore.exceptions import ClientError

CONTAINERS = {
    "Containers": [{"Image": "perennial-serving:1"}],
    "SupportedContentTypes": ["application/json"],
    "SupportedResponseMIMETypes": ["application/json"],
}


def test_the_same_token_makes_one_package(aws):
    sagemaker = aws("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="once")
    asked = {"ModelPackageGroupName": "once", "InferenceSpecification": CONTAINERS}

    first = sagemaker.create_model_package(ClientToken="token-1", **asked)["ModelPackageArn"]
    again = sagemaker.create_model_package(ClientToken="token-1", **asked)["ModelPackageArn"]
    other = sagemaker.create_model_package(ClientToken="token-2", **asked)["ModelPackageArn"]

    assert first == again != other
    listed = sagemaker.list_model_packages(ModelPackageGroupName="once")
    assert len(listed["ModelPackageSummaryList"]) == 2


def test_a_group_exists_once(aws):
    aws("sagemaker").create_model_package_group(ModelPackageGroupName="unique")

    with pytest.raises(ClientError, match="already exists"):
        aws("sagemaker").create_model_package_group(ModelPackageGroupName="unique")


def test_everybody_may_do_everything(aws):
    answer = aws("iam").simulate_principal_policy(
        PolicySourceArn="arn:aws:iam::123456789012:role/perennial",
        ActionNames=["s3:GetObject", "s3:PutObject"],
    )

    decisions = {r["EvalActionName"]: r["EvalDecision"] for r in answer["EvaluationResults"]}
    assert decisions == {"s3:GetObject": "allowed", "s3:PutObject": "allowed"}
