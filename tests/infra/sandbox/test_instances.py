import time

import boto3
import pytest


@pytest.fixture(scope="module")
def instance(sandbox):
    ec2 = boto3.client("ec2", endpoint_url=sandbox.url)
    asked = {"ImageId": "ami-12c6146b", "MinCount": 1, "MaxCount": 1, "ClientToken": "one"}
    first, again = (ec2.run_instances(**asked)["Instances"][0] for _ in range(2))
    assert first["InstanceId"] == again["InstanceId"]
    yield first
    ec2.terminate_instances(InstanceIds=[first["InstanceId"]])


def test_an_instance_has_its_own_loopback_address(instance):
    assert instance["PrivateIpAddress"].startswith("127.")


@pytest.mark.parametrize(
    ("script", "status", "code"), [("true", "Success", 0), ("exit 3", "Failed", 3)]
)
def test_a_command_runs_on_the_instance_and_tells_its_exit_code(
    sandbox, instance, script, status, code
):
    ssm = boto3.client("ssm", endpoint_url=sandbox.url)
    name = instance["InstanceId"]

    sent = ssm.send_command(
        InstanceIds=[name],
        DocumentName="AWS-RunShellScript",
        Parameters={"commands": ['basename "$HOME"', "docker ps -q", script]},
    )["Command"]["CommandId"]
    end = time.monotonic() + 60
    while (told := ssm.get_command_invocation(CommandId=sent, InstanceId=name))["Status"] in (
        "Pending",
        "InProgress",
    ) and time.monotonic() < end:
        time.sleep(0.3)

    assert (told["Status"], told["ResponseCode"]) == (status, code)
    assert told["StandardOutputContent"].strip() == name
