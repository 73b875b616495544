"""Both stacks are created for real in the sandbox."""

import contextlib
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

TEMPLATES = Path(__file__).resolve().parents[3] / "infra" / "cloudformation"


@pytest.fixture(scope="module")
def cloudformation(sandbox):
    return boto3.client("cloudformation", endpoint_url=sandbox.url)


def make(cloudformation, name, template, parameters):
    with contextlib.suppress(cloudformation.exceptions.AlreadyExistsException):
        cloudformation.create_stack(
            StackName=name,
            TemplateBody=(TEMPLATES / template).read_text(),
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}


@pytest.fixture(scope="module")
def bootstrap(cloudformation):
    parameters = {"Project": "stacks", "Environment": "test"}
    return make(cloudformation, "stacks-test", "bootstrap.yaml", parameters)


@pytest.fixture(scope="module")
def serving(cloudformation, bootstrap, sandbox):
    ec2 = boto3.client("ec2", endpoint_url=sandbox.url)
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    parameters = {
        "Project": "stacks",
        "Environment": "test",
        "Classifier": "news",
        "VpcId": vpc,
        "SubnetIds": ",".join(one["SubnetId"] for one in subnets[:2]),
        "InstanceProfile": bootstrap["InstanceProfile"],
    }
    return make(cloudformation, "stacks-test-news-ec2", "ec2-serving.yaml", parameters)


def test_bootstrap_names_everything_an_environment_needs(bootstrap):
    assert set(bootstrap) == {
        *("DataBucket", "ModelsBucket", "LogsBucket", "ExecutionRoleArn", "InstanceProfile"),
        *("WorkerRoleArn", "AlertTopicArn"),
        *("TrainingRepositoryUri", "ServingRepositoryUri", "FlowsRepositoryUri"),
    }
    assert bootstrap["DataBucket"] == "stacks-data-test"


def test_serving_names_both_colours_and_both_listeners(serving):
    assert set(serving) == {
        *("EndpointUrl", "TestUrl", "ListenerArn", "TestListenerArn", "DeployDocument"),
        *("BlueTargetGroupArn", "GreenTargetGroupArn", "BlueInstanceId", "GreenInstanceId"),
        "LoadBalancerFullName",
    }
    assert serving["EndpointUrl"].startswith("http://127.")


@pytest.mark.parametrize("previous", [True, False])
def test_an_update_that_changes_nothing_is_refused(cloudformation, bootstrap, previous):
    """With the template sent again and with the stack's own; without the parameters' defaults."""
    template = (TEMPLATES / "bootstrap.yaml").read_text()
    asked = {"UsePreviousTemplate": True} if previous else {"TemplateBody": template}
    project = {"ParameterKey": "Project", "ParameterValue": "stacks"}
    environment = {"ParameterKey": "Environment", "UsePreviousValue": True}

    with pytest.raises(ClientError, match=r"ValidationError.*No updates are to be performed\."):
        cloudformation.update_stack(
            StackName="stacks-test",
            Parameters=[project, environment],
            Capabilities=["CAPABILITY_NAMED_IAM"],
            **asked,
        )


def test_an_update_that_changes_a_parameter_is_made(cloudformation, bootstrap):
    kept = [{"ParameterKey": k, "UsePreviousValue": True} for k in ("Project", "Environment")]

    cloudformation.update_stack(
        StackName="stacks-test",
        UsePreviousTemplate=True,
        Parameters=[*kept, {"ParameterKey": "LogRetentionDays", "ParameterValue": "30"}],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )

    (stack,) = cloudformation.describe_stacks(StackName="stacks-test")["Stacks"]
    assert stack["StackStatus"] == "UPDATE_COMPLETE"


def test_a_command_with_a_shell_metacharacter_is_refused(serving, sandbox):
    ssm = boto3.client("ssm", endpoint_url=sandbox.url)

    with pytest.raises(ClientError, match="InvalidParameters"):
        ssm.send_command(
            InstanceIds=[serving["BlueInstanceId"]],
            DocumentName=serving["DeployDocument"],
            Parameters={
                "ImageUri": ["image"],
                "ModelUri": ["s3://bucket/key"],
                "ModelVersion": ["1'; touch broken; '"],
                "ModelName": ["news"],
                "KeysSecret": ["perennial-dev/api-keys"],
            },
        )


def test_a_command_for_an_unknown_instance_is_refused(serving, sandbox):
    ssm = boto3.client("ssm", endpoint_url=sandbox.url)

    with pytest.raises(ssm.exceptions.InvalidInstanceId):
        ssm.send_command(
            InstanceIds=["i-00000000000000000"],
            DocumentName="AWS-RunShellScript",
            Parameters={"commands": ["true"]},
        )
