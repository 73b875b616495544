import os
import signal
import time

import httpx
import psutil
import pytest


@pytest.fixture(scope="module")
def instance(aws):
    ec2 = aws("ec2")
    asked = {"ImageId": "ami-12c6146b", "MinCount": 1, "MaxCount": 1, "ClientToken": "one"}
    first, again = (ec2.run_instances(**asked)["Instances"][0] for _ in range(2))
    assert first["InstanceId"] == again["InstanceId"]
    yield first
    ec2.terminate_instances(InstanceIds=[first["InstanceId"]])


def run(ssm, name, *lines):
    """What became of the shell lines on the instance."""
    sent = ssm.send_command(
        InstanceIds=[name],
        DocumentName="AWS-RunShellScript",
        Parameters={"commands": list(lines)},
    )["Command"]["CommandId"]
    end = time.monotonic() + 60
    while (told := ssm.get_command_invocation(CommandId=sent, InstanceId=name))["Status"] in (
        "Pending",
        "InProgress",
    ) and time.monotonic() < end:
        time.sleep(0.2)
    return told


def answers(instance):
    """The process that answers on the instance, None when nobody does."""
    try:
        url = f"http://{instance['PrivateIpAddress']}:8000/"
        return httpx.get(url, trust_env=False).json()["pid"]
    except httpx.TransportError:
        return None


def answered(instance, other_than):
    """The process that answers at last."""
    end = time.monotonic() + 60
    while (pid := answers(instance)) in (None, other_than):
        assert time.monotonic() < end, "nobody answers"
        time.sleep(0.1)
    return pid


@pytest.fixture(scope="module")
def serving(aws, instance, hand_image):
    """The instance, with a container that answers at port 8000."""
    lines = "set -e", f"docker run -d --name hand -p 8000:8080 {hand_image}"
    assert run(aws("ssm"), instance["InstanceId"], *lines)["Status"] == "Success"
    answered(instance, other_than=None)
    return instance


def test_an_instance_has_its_own_loopback_address(instance):
    assert instance["PrivateIpAddress"].startswith("127.")


@pytest.mark.parametrize(
    ("script", "status", "code"), [("true", "Success", 0), ("exit 3", "Failed", 3)]
)
def test_a_command_runs_on_the_instance_and_tells_its_exit_code(
    aws, instance, script, status, code
):
    name = instance["InstanceId"]

    told = run(aws("ssm"), name, 'basename "$HOME"', "docker ps -q > ps", script)

    assert (told["Status"], told["ResponseCode"]) == (status, code)
    assert told["StandardOutputContent"].strip() == name


def test_a_crashed_container_is_started_again(serving):
    crashed = answered(serving, other_than=None)

    os.kill(crashed, signal.SIGKILL)

    assert answered(serving, other_than=crashed) != crashed


def test_a_container_is_down_and_up_with_its_instance(aws, serving):
    ec2, ids = aws("ec2"), [serving["InstanceId"]]
    before = answered(serving, other_than=None)
    process = psutil.Process(before)

    ec2.stop_instances(InstanceIds=ids)
    psutil.wait_procs([process], timeout=60)
    assert answers(serving) is None
    with pytest.raises(aws("ssm").exceptions.ClientError, match="InvalidInstanceId"):
        run(aws("ssm"), *ids, "true")
    ec2.start_instances(InstanceIds=ids)

    assert answered(serving, other_than=before)


def test_terminating_an_instance_ends_its_processes(aws, serving, sandbox):
    process = psutil.Process(answered(serving, other_than=None))

    aws("ec2").terminate_instances(InstanceIds=[serving["InstanceId"]])

    gone, _ = psutil.wait_procs([process], timeout=60)
    assert gone
