"""A release on EC2 that really serves, one whose process is killed, and a rollback on its own."""

import os
import signal
import subprocess
import sys

import pytest
from plugins.releases import MODEL
from prefect.settings import get_current_settings

from deployments import smoke
from flows.deploy import deploy
from flows.rollback import rollback
from tasks.adapters import aws, commands, probes, registry, secrets, stacks
from tasks.records import Outcome

NOBODY = "http://127.0.0.1:9"
KILLED_AT = """
import os
from flows import deploy as module
module.releases.{step} = lambda *_: os.kill(os.getpid(), 9)
module.deploy("news", "{version}")
"""


def killed_at(step, version, monkeypatch):
    """Run the flow in a process of its own that dies where `step` would begin."""
    monkeypatch.setenv("PREFECT_API_URL", str(get_current_settings().api.url))
    ended = subprocess.run(
        [sys.executable, "-c", KILLED_AT.format(step=step, version=version)],
        timeout=300,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL


def back_alone(classifier):
    """The runbook's command while neither a Prefect server nor MLflow and its registry answer."""
    down = {"PREFECT_API_URL": f"{NOBODY}/api", "MLFLOW_TRACKING_URI": NOBODY}
    ended = subprocess.run(
        [sys.executable, "-m", "flows.rollback", classifier],
        env={**os.environ, **down, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"},
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0


def assert_smoke_by_hand(shelf, url, version, key, monkeypatch):
    buckets = {"DataBucket": os.environ["PERENNIAL_DATA_BUCKET"]}
    monkeypatch.setattr(smoke.Account, "outputs", lambda _: buckets)

    report = smoke.run(smoke.Wanted(host=url, model_name=MODEL, api_key=key, username="ann"))

    client = registry.client(shelf.mlflow)
    logged = client.get_run(registry.get_version(client, MODEL, version).run_id).data.metrics
    assert report.outcome is Outcome.PASS, report
    assert report.numbers["memory_mb"] > 10
    assert set(logged) == {f"smoke/{name}" for name in report.numbers}
    told = registry.get_tags(client, MODEL, version)["smoke_test"]
    assert told == f"PASS at {url}, by ann"


@pytest.mark.timeout(1200)  # five flows with real servers
def test_a_process_killed_before_and_after_the_switch_leaves_one_release(
    shelf, callers, back_and_timed, monkeypatch
):
    first, second = (shelf.version(seed=seed, engine="openvino-int8") for seed in (1, 2))
    deploy("news", first)
    stack = f"perennial-{shelf.environment}-news-ec2"
    out = stacks.outputs(aws.client("cloudformation"), stack)

    key = secrets.read(aws.client("secretsmanager"), f"perennial-{shelf.environment}/operator-key")

    def ask():
        answer = probes.ask(out["EndpointUrl"], {"text": "stock market"}, key)
        assert answer.status == 200, answer
        return answer.version

    healthy = probes.look(out["EndpointUrl"], 60)
    assert (healthy.status, healthy.version) == (200, first)
    assert 0 < healthy.seconds < 60
    assert_smoke_by_hand(shelf, out["EndpointUrl"], first, key, monkeypatch)
    with callers(ask) as heard:
        killed_at("begin_switch", second, monkeypatch)
        op_id = shelf.journal().op_id
        assert (shelf.journal().state, ask()) == ("STAGING", first)
        killed_at("commit_release", second, monkeypatch)
        assert (shelf.journal().state, shelf.journal().op_id) == ("SWITCHING", op_id)
        deploy("news", second)

    assert heard.failures == []
    assert set(heard.answers) == {first, second}
    assert (shelf.journal().state, shelf.alias("champion")) == ("LIVE", second)
    ids = out["BlueInstanceId"], out["GreenInstanceId"]
    assert sum(len(commands.sent(aws.client("ssm"), one, op_id)) for one in ids) == 1
    assert shelf.actions()[-2:] == [("started", second), ("released", second)]

    heard = back_and_timed(ask, back_alone)
    after, told = shelf.journal(), shelf.ledger()
    for _ in range(2):  # and nothing more is done by asking again
        rollback("news")

    assert (heard.failures, ask()) == ([], first)
    assert (shelf.journal(), shelf.ledger()) == (after, told)
    assert after.champion.version == shelf.alias("champion") == first
    sent = [commands.sent(aws.client("ssm"), one, shelf.journal().op_id) for one in ids]
    assert sent == [[], []]  # it ran all the time, on the other side
