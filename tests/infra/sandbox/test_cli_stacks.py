"""A stack's whole life from the command line: checked, made, deployed to, read, deleted."""

import contextlib
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import httpx
import psutil
import pytest

AWS = Path(sys.executable).with_name("aws")
TEMPLATE = Path(__file__).resolve().parents[3] / "infra" / "cloudformation" / "ec2-serving.yaml"
STACK = ("--stack-name", "typed")
MANIFEST = b'{"made": "by hand"}'


@pytest.fixture(scope="module")
def cli(sandbox):
    """Run one command; its JSON, its text, or an assertion with what it said."""

    def run(*words: str):
        done = subprocess.run(
            [str(AWS), *words], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.stdout

    return run


@pytest.fixture(scope="module")
def parameters(aws):
    """What the stack is made with: two subnets, a profile, a topic."""
    subnets = aws("ec2").describe_subnets()["Subnets"][:2]
    aws("iam").create_instance_profile(InstanceProfileName="typed")
    values = {
        "Project": "typed",
        "Classifier": "news",
        "VpcId": subnets[0]["VpcId"],
        "SubnetIds": r"\,".join(one["SubnetId"] for one in subnets),
        "InstanceProfile": "typed",
    }
    return [f"ParameterKey={key},ParameterValue={value}" for key, value in values.items()]


@pytest.fixture(scope="module")
def stack(cli, aws, parameters):
    """The described stack; it may be gone at the end."""
    made = ("--template-body", f"file://{TEMPLATE}", "--parameters", *parameters)
    cli("cloudformation", "create-stack", *STACK, *made)
    cli("cloudformation", "wait", "stack-create-complete", *STACK)
    (described,) = cli("cloudformation", "describe-stacks", *STACK)["Stacks"]
    yield described
    with contextlib.suppress(aws("cloudformation").exceptions.ClientError):
        aws("cloudformation").delete_stack(StackName="typed")


@pytest.fixture(scope="module")
def outputs(stack):
    return {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}


@pytest.fixture(scope="module")
def deployed(cli, aws, outputs, hand_image):
    """The invocation of the stack's own deploy document on the blue instance."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("manifest.json")
        member.size = len(MANIFEST)
        archive.addfile(member, io.BytesIO(MANIFEST))
    aws("secretsmanager").create_secret(Name="typed-dev/api-keys", SecretString="{}")
    aws("s3").create_bucket(Bucket="typed-models")
    aws("s3").put_object(Bucket="typed-models", Key="model.tar.gz", Body=packed.getvalue())
    asked = {
        "ImageUri": [hand_image],
        "ModelUri": ["s3://typed-models/model.tar.gz"],
        "ModelVersion": ["7"],
        "ModelName": ["by-hand"],
        "BundleDigest": [hashlib.sha256(MANIFEST).hexdigest()],
        "KeysSecret": ["typed-dev/api-keys"],
    }
    sent = cli(
        *("ssm", "send-command", "--document-name", outputs["DeployDocument"]),
        *("--instance-ids", outputs["BlueInstanceId"], "--parameters", json.dumps(asked)),
    )
    where = (
        *("--command-id", sent["Command"]["CommandId"]),
        *("--instance-id", outputs["BlueInstanceId"]),
    )
    cli("ssm", "wait", "command-executed", *where)
    return cli("ssm", "get-command-invocation", *where)


def test_the_template_is_valid(cli):
    told = cli("cloudformation", "validate-template", "--template-body", f"file://{TEMPLATE}")

    required = {one["ParameterKey"] for one in told["Parameters"] if "DefaultValue" not in one}
    assert required == {"Classifier", "VpcId", "SubnetIds", "InstanceProfile"}


def test_the_stack_is_made_from_the_command_line(stack, outputs):
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert outputs["DeployDocument"] == "typed-dev-news-deploy"


def test_the_deploy_document_puts_a_version_behind_the_load_balancer(deployed, outputs):
    assert (deployed["Status"], deployed["ResponseCode"]) == ("Success", 0)
    assert "manifest.json: OK" in deployed["StandardOutputContent"]
    assert "ready after" in deployed["StandardOutputContent"]

    answer = httpx.get(f"{outputs['EndpointUrl']}/", trust_env=False).json()

    assert (answer["version"], answer["manifest"]) == ("7", MANIFEST.decode())


def test_deleting_the_stack_ends_what_it_ran(cli, deployed, outputs):
    pid = httpx.get(f"{outputs['EndpointUrl']}/", trust_env=False).json()["pid"]
    assert psutil.pid_exists(pid)

    cli("cloudformation", "delete-stack", *STACK)
    cli("cloudformation", "wait", "stack-delete-complete", *STACK)

    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(60)
    end = time.monotonic() + 60
    while listens(outputs["EndpointUrl"]):
        assert time.monotonic() < end, "the load balancer is still there"
        time.sleep(0.2)


def listens(url):
    try:
        httpx.get(f"{url}/", trust_env=False, timeout=60)
    except httpx.TransportError as problem:  # any other: it is just closing
        return not isinstance(problem, httpx.ConnectError)
    return True
