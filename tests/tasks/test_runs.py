import subprocess
import sys
import time
from collections import defaultdict
from datetime import timedelta
from uuid import uuid4

import pytest
from prefect import task
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.states import Crashed, Failed, Pending

from deployments.account import Account
from tasks import runs
from tasks.errors import NotFound
from tasks.policy.recovery import Fate


@pytest.fixture
def client(prefect_server):
    with get_client(sync_client=True) as opened:
        yield opened


@task
def step():
    """Stands for a sub-flow in its parent, as Prefect does it."""


def begun(client, flow="deploy", parent=None):
    """A flow run that runs, in the process of its parent when there is one."""
    made = client._client.post(
        "/flow_runs/",
        json={
            "flow_id": str(client.create_flow_from_name(flow)),
            "state": {"type": "RUNNING"},
            "parent_task_run_id": parent and str(parent.id),
        },
    )
    return made.json()["id"]


def fate(run_id):
    return runs.fate(f"flow run {run_id} attempt 1")


def test_a_run_is_alive_until_it_has_ended(client):
    run = begun(client)

    alive = fate(run)
    client.set_flow_run_state(run, Failed(), force=True)

    assert (alive, fate(run)) == (Fate.ALIVE, Fate.OVER)


def test_a_sub_flow_died_with_the_process_of_its_parent(client):
    parent = begun(client, "pipeline")
    inside = client.create_task_run(task=step, flow_run_id=parent, dynamic_key="0", state=Pending())
    child = begun(client, parent=inside)

    alive = fate(child)
    client.set_flow_run_state(parent, Crashed(), force=True)

    assert (alive, fate(child)) == (Fate.ALIVE, Fate.OVER)


def lost(client):
    """A run that was given up."""
    run = begun(client)
    client.set_flow_run_state(run, Crashed(name="Lost"))
    return run


def test_a_lost_run_is_not_believed_to_be_over_before_it_could_be_heard_again(client, monkeypatch):
    run = lost(client)

    doubted = fate(run)
    monkeypatch.setattr(runs, "_DOUBT", timedelta(0))

    assert (doubted, fate(run)) == (Fate.ALIVE, Fate.OVER)


def test_a_lost_run_that_is_heard_again_is_alive(client, monkeypatch):
    """Its host never died: Prefect's server did, and heard no heartbeat."""
    monkeypatch.setattr(runs, "_DOUBT", timedelta(0))
    run = lost(client)
    emit_event("prefect.flow-run.heartbeat", {"prefect.resource.id": f"prefect.flow-run.{run}"})

    deadline = time.monotonic() + 60
    while (heard := fate(run)) is Fate.OVER and time.monotonic() < deadline:
        time.sleep(0.2)

    assert heard is Fate.ALIVE


def test_a_run_is_silent_after_two_heartbeats_that_did_not_come(monkeypatch):
    monkeypatch.setattr(Account, "outputs", lambda _: defaultdict(str))
    told = Account().job_environment()["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]
    beat = timedelta(seconds=int(told))

    assert 2 * beat < runs._SILENCE <= timedelta(minutes=2)
    assert beat < runs._DOUBT < runs._SILENCE
    assert timedelta(minutes=5) > runs._NEVER_BEGAN


def test_what_prefect_does_not_know_is_unknown(client):
    assert fate(uuid4()) is Fate.UNKNOWN
    assert runs.fate("a person") is Fate.UNKNOWN


def test_a_deployment_is_started_once_for_each_key(client):
    deployment = client.create_deployment(client.create_flow_from_name("rollback"), "runs")
    key = str(uuid4())

    first = runs.start("rollback/runs", {"reason": "red"}, key)
    second = runs.start("rollback/runs", {"reason": "red"}, key)

    assert first.id == second.id
    client.delete_deployment(deployment)


def test_a_missing_deployment_says_what_to_run(client):
    with pytest.raises(NotFound, match="no deployment rollback/none: run make deploy"):
        runs.start("rollback/none", {}, "key")


def test_what_runs_every_minute_imports_nothing_that_takes_seconds():
    heavy = "[m for m in ('mlflow', 'pandas', 'matplotlib', 'optuna') if m in sys.modules]"

    subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys, flows.reconcile; sys.exit(str({heavy}) if {heavy} else 0)",
        ],
        check=True,
    )
