"""Every command of docs/runbook.md runs, in this process: starting one each would take minutes.

A line of `make` is only planned (`make -n`): what the verbs do has tests of its own.
"""

import contextlib
import os
import re
import runpy
import shlex
import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path

import awscli
import pytest
import yaml
from awscli.clidriver import create_clidriver
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.testing.cli import invoke_and_assert
from prefect.utilities.callables import parameter_schema

from deployments.apply import expand
from tasks import own_server
from tasks.adapters import aws

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
TOPIC = """
Resources:
  Topic: {Type: "AWS::SNS::Topic"}
"""
OUTPUTS = {
    "DataBucket": "PERENNIAL_DATA_BUCKET",
    "ModelsBucket": "PERENNIAL_MODELS_BUCKET",
    "LogsBucket": "PERENNIAL_LOGS_BUCKET",
    "ExecutionRoleArn": "PERENNIAL_EXECUTION_ROLE_ARN",
    "InstanceProfile": "PERENNIAL_INSTANCE_PROFILE",
    "AlertTopicArn": "PERENNIAL_ALERT_TOPIC_ARN",
    "TrainingRepositoryUri": "PERENNIAL_TRAINING_IMAGE",
    "ServingRepositoryUri": "PERENNIAL_SERVING_IMAGE",
}


def commands():
    return [line for block in BLOCK.findall(text()) for line in block.splitlines() if line]


def text():
    return (ROOT / "docs/runbook.md").read_text("utf-8")


@pytest.fixture
def account(shelf, monkeypatch):
    """What the commands ask about: the stacks of the environment, its log group."""
    cloudformation = aws.client("cloudformation")
    name = f"perennial-{shelf.environment}"
    told = {key: {"Value": os.environ[variable]} for key, variable in OUTPUTS.items()}
    template = TOPIC + yaml.safe_dump({"Outputs": told})
    for stack, body in ((name, template), (f"{name}-news-ec2", TOPIC)):
        cloudformation.create_stack(StackName=stack, TemplateBody=body)
    aws.client("logs").create_log_group(logGroupName=f"/perennial/{shelf.environment}/serving")
    monkeypatch.setenv("AWS_DATA_PATH", str(Path(awscli.__file__).with_name("data")))
    monkeypatch.chdir(ROOT)


@pytest.fixture
def deployed(prefect_server):
    """Those deployments of prefect.yaml that the runbook names, on the server."""
    file = expand(yaml.safe_load((ROOT / "prefect.yaml").read_text("utf-8")), ("news",))
    named = set(re.findall(r"deployment run '([^']+)'", text()))
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="perennial", type="process"))
        for one in file["deployments"]:
            module, _, function = one["entrypoint"].rpartition(".")
            if f"{function}/{one['name']}" not in named:
                continue
            named.remove(f"{function}/{one['name']}")
            flow = getattr(import_module(module), function)
            client.create_deployment(
                client.create_flow(flow),
                one["name"],
                parameters=one.get("parameters", {}),
                parameter_openapi_schema=parameter_schema(flow).model_dump_for_openapi(),
                enforce_parameter_schema=True,
                work_pool_name="perennial",
            )
    assert not named, f"prefect.yaml has no {named}"


def run(line, capsys, monkeypatch):
    """One line of the runbook as a shell would run it."""
    if line == 'eval "$(python -m deployments.account)"':
        python(["deployments.account"], monkeypatch)
        for exported in capsys.readouterr().out.splitlines():
            name, _, value = exported.removeprefix("export ").partition("=")
            monkeypatch.setenv(name, shlex.split(value)[0] if value else "")
        return
    if assigned := re.fullmatch(r"([A-Z]+)=(\S+)", line):
        monkeypatch.setenv(assigned[1], os.path.expandvars(assigned[2]))
        return
    words = shlex.split(os.path.expandvars(line))
    match words:
        case ["aws", *asked]:
            assert create_clidriver().main(asked) == 0, line
        case ["python", "-m", *asked]:
            python(asked, monkeypatch)
        case ["prefect", *asked]:
            invoke_and_assert(asked, expected_code=0)
        case ["make", *asked]:
            subprocess.run(["make", "-n", *asked], check=True, capture_output=True)
        case _:
            pytest.fail(f"nobody knows how to run {line!r}")


def python(asked, monkeypatch):
    monkeypatch.setattr(sys, "argv", asked)
    with warnings.catch_warnings(), contextlib.suppress(SystemExit):
        warnings.simplefilter("ignore")  # the module was imported before, by a test
        runpy.run_module(asked[0], run_name="__main__")


@pytest.mark.usefixtures("account", "deployed")
def test_every_command_of_the_runbook_runs(shelf, room, two, capsys, monkeypatch):
    # A server that answers late would be taken for dead, and the one of all tests ended.
    monkeypatch.setattr(own_server, "_ANSWER_S", 60)
    for line in commands():
        run(line, capsys, monkeypatch)

    assert room.public == two[0].version
    assert shelf.actions()[-1] == ("returned", two[0].version)
    assert "nothing to take back" in capsys.readouterr().out
