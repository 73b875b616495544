"""Runs that crashed on a real Prefect server, with nobody who would execute them."""

import time
from datetime import timedelta

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Completed, Crashed, Pending, Running, StateType

from tasks import restarts, runs
from tasks.settings import Settings

pytestmark = pytest.mark.usefixtures("prefect_server", "settings_env", "engineless")


@pytest.fixture
def client():
    with get_client(sync_client=True) as opened:
        yield opened


@pytest.fixture
def run_of(client):
    """Start a run of a deployment of that flow."""
    made = []

    def start(flow, **parameters):
        deployment = client.create_deployment(client.create_flow_from_name(flow), "restarts")
        run = client.create_flow_run_from_deployment(deployment, parameters=parameters)
        made.append(run)
        return run

    yield start
    for run in made:
        client.delete_flow_run(run.id)
        client.delete_deployment(run.deployment_id)


def crash(client, run):
    for state in (Pending(), Running(), Crashed(message="Flow run process exited with -9")):
        client.set_flow_run_state(run.id, state)


def restarted(client, run):
    """What is said of the run, and its state."""
    said = restarts.restart.fn(Settings())
    return said, client.read_flow_run(run.id).state


def test_a_crashed_run_is_scheduled_twice_more_and_then_people_are_told(client, run_of, sandbox):
    run = run_of("train", classifier="news")
    sandbox.clear_calls()
    for attempt in (2, 3):
        crash(client, run)
        said, state = restarted(client, run)

        assert f"{run.name}: again" in said
        assert (state.type, state.name) == (StateType.SCHEDULED, "AwaitingRetry")
        assert f"attempt {attempt}" in state.message
    assert "Publish" not in [call["action"] for call in sandbox.calls()]

    crash(client, run)
    said, state = restarted(client, run)

    assert f"{run.name}: tell" in said
    assert (state.type, client.read_flow_run(run.id).run_count) == (StateType.CRASHED, 3)
    assert [call["action"] for call in sandbox.calls()].count("Publish") == 1


@pytest.mark.parametrize(
    ("states", "limit"),
    [((Pending(), Running()), "_SILENCE"), ((Pending(),), "_NEVER_BEGAN")],
)
def test_a_run_of_which_nothing_is_heard_is_lost(client, run_of, monkeypatch, states, limit):
    run = run_of("train", classifier="news")
    for state in states:
        client.set_flow_run_state(run.id, state)

    monkeypatch.setattr(runs, "_LOOKING", "nobody")  # other tests have looks of their own
    early = restarts.end_silent.fn()
    monkeypatch.setattr(runs, limit, timedelta(0))
    said = restarts.end_silent.fn()

    state = client.read_flow_run(run.id).state
    assert run.name not in early
    assert f"{run.name}: lost" in said
    assert (state.type, state.name) == (StateType.CRASHED, "Lost")


def test_where_prefect_listened_all_the_while_a_silent_run_is_run_again_at_once(
    client, run_of, monkeypatch
):
    run, look = run_of("train", classifier="news"), run_of("reconcile")
    for one, states in ((run, (Pending(), Running())), (look, (Running(), Completed()))):
        for state in states:
            client.set_flow_run_state(one.id, state)
    monkeypatch.setattr(runs, "_DOUBT", timedelta(0))
    monkeypatch.setattr(runs, "_SILENCE", timedelta(seconds=2))
    time.sleep(2.5)  # the run is silent
    for state in (Running(), Completed()):
        client.set_flow_run_state(look.id, state, force=True)

    restarts.end_silent.fn()
    said, state = restarted(client, run)

    assert f"{run.name}: again" in said
    assert state.name == "AwaitingRetry"


@pytest.mark.parametrize(
    ("flow", "reason"),
    [("deploy", None), ("pipeline", {"kind": "drift", "fingerprint": "f"})],
)
def test_what_others_look_after_is_let_alone(client, run_of, flow, reason):
    run = run_of(flow, classifier="news", reason=reason)
    crash(client, run)

    said, state = restarted(client, run)

    assert f"{run.name}: again" not in said
    assert state.is_crashed()
