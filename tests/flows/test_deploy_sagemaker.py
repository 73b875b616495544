"""A release on a SageMaker endpoint that really serves."""

import json

import pytest

from flows.deploy import RolloutPlan, deploy
from tasks.adapters import aws
from tasks.errors import DeployFailed

PLAN = RolloutPlan(target="sagemaker")


def invoke(shelf):
    answer = aws.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=f"perennial-{shelf.environment}-news",
        ContentType="application/json",
        Body=json.dumps({"text": "stock market"}),
    )
    return answer["InvokedProductionVariant"], json.loads(answer["Body"].read())["model_version"]


def test_second_release_replaces_the_first_and_a_silent_rollback_is_a_failure(
    shelf, sandbox, callers
):
    versions = (shelf.version(seed=seed, engine="openvino-int8") for seed in (1, 2, 3))
    first, second, third = versions
    sandbox.clear_calls()

    deploy("news", first, PLAN)
    assert invoke(shelf) == (f"v{first}", first)

    with callers(lambda: invoke(shelf)) as heard:
        deploy("news", second, PLAN)
    assert invoke(shelf) == (f"v{second}", second)
    assert heard.failures == []
    assert {version for _, version in heard.answers} == {first, second}

    sandbox.fault(kind="silent-rollback")
    silent = pytest.raises(DeployFailed, match="AWS rolled it back: it serves config")
    with callers(lambda: invoke(shelf)) as heard, silent:
        deploy("news", third, PLAN)
    assert heard.failures == []
    assert {version for _, version in heard.answers} == {second}
    assert shelf.journal().champion.version == shelf.alias("champion") == second
    assert shelf.actions()[-2:] == [("started", third), ("rolled-back", third)]
    made = [call["action"] for call in sandbox.calls() if call["service"] == "sagemaker"]
    assert made.count("CreateEndpoint") == 1
    assert "DeleteEndpointConfig" not in made
