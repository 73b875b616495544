"""A release on EC2 that really serves, and one whose process is killed on the way."""

import signal
import subprocess
import sys

from prefect.settings import get_current_settings

from flows.deploy import deploy
from tasks.adapters import aws, commands, probes, secrets, stacks

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


def test_a_process_killed_before_and_after_the_switch_leaves_one_release(
    shelf, callers, monkeypatch
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
