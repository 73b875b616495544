"""Releases that nobody looks after any more, on a target in memory."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from plugins.sudden_death import Killed, NoUndo
from prefect.client.orchestration import get_client
from prefect.client.schemas import filters
from prefect.states import Crashed, Failed, Running

from flows import deploy as module
from flows.deploy import deploy
from flows.reconcile import reconcile
from tasks import rollout, runs
from tasks.adapters import aws, journal, ledger, registry
from tasks.errors import Conflict, ProjectError
from tasks.policy import releases
from tasks.records import Entry, Served

PAST = "2026-01-15T10:30:00+00:00"


@pytest.fixture
def told(sandbox):
    """How many messages people got since the test began."""
    sandbox.clear_calls()
    return lambda: [call["action"] for call in sandbox.calls()].count("Publish")


def write(shelf, release):
    key = f"releases/{shelf.environment}/news/journal.json"
    return journal.write(aws.client("s3"), shelf.bucket, key, release)


def left(shelf, room, seed=2):
    """A release that somebody began and left half switched; its lease is past."""
    version = shelf.version(seed=seed)
    found = registry.get_version(registry.client(shelf.mlflow), "bert-news-classifier", version)
    served = Served(version, found.bundle_uri, found.bundle_digest, "ec2")
    claim = releases.claimed(shelf.journal(), "news", shelf.environment, served, "a dead run")
    write(shelf, releases.switching(claim, PAST))
    room.running[version], room.before, room.public = served, room.public, version
    return version


def record(shelf, release, action):
    """What the ledger says five minutes ago of a release that is over."""
    at = (datetime.now(UTC) - timedelta(minutes=5)).isoformat(timespec="seconds")
    served = release.champion
    evidence = {"bundle": served.bundle_digest, "uri": served.bundle_uri, "target": "ec2"}
    entry = Entry(at, "a test", action, "news", served.version, "", release.op_id, evidence)
    folder = f"releases/{shelf.environment}/news/ledger"
    ledger.append(aws.client("s3"), shelf.bucket, folder, entry)


@pytest.mark.parametrize("step", ["stage", "switch"])
def test_a_killed_release_is_taken_back_once(shelf, room, champion, monkeypatch, told, step):
    new = shelf.version(seed=2)
    real = getattr(rollout, step)

    def killed(*args):
        real(*args)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, "ExitStack", NoUndo)
        patch.setattr(rollout, step, killed)
        with pytest.raises(Killed):
            deploy("news", new)
    for _ in range(3 if step == "switch" else 1):
        said = reconcile("news")

    assert step == "stage" or said["news"].startswith("nothing: at rest: ROLLED_BACK;")
    release = shelf.journal()
    assert room.public == release.champion.version == champion
    assert (release.state, release.candidate) == ("ROLLED_BACK", None)
    assert room.done[-1] == ("restore", new)
    assert shelf.actions()[-2:] == [("started", new), ("rolled-back", new)]
    assert told() == 1


def test_a_holder_at_work_is_left_alone_and_one_past_its_lease_is_fenced_out(
    shelf, room, champion, monkeypatch
):
    new = shelf.version(seed=2)
    real = rollout.smoke_test

    def meanwhile(*args):
        before = shelf.journal()
        reconcile()
        assert shelf.journal() == before
        write(shelf, releases.renewed(before, PAST))
        reconcile()
        room.done.clear()
        return real(*args)

    monkeypatch.setattr(rollout, "smoke_test", meanwhile)
    with pytest.raises(Conflict, match="came too late"):
        deploy("news", new)

    assert room.done == []
    assert room.public == shelf.journal().champion.version == champion
    assert shelf.actions()[-1] == ("rolled-back", new)


def test_a_release_whose_host_was_lost_is_taken_back_at_once_not_when_its_lease_ends(
    shelf, room, champion, monkeypatch
):
    monkeypatch.setattr(runs, "_DOUBT", timedelta(0))
    new = left(shelf, room)
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(deploy, state=Running())
        told = f"flow run {run.id} attempt 1"
        lease = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
        write(shelf, releases.taken_over(shelf.journal(), told, lease))
        reconcile("news")
        running = shelf.journal().state
        client.set_flow_run_state(run.id, Crashed(name="Lost"))
    reconcile("news")

    assert (running, shelf.journal().state) == ("SWITCHING", "ROLLED_BACK")
    assert (room.public, shelf.actions()[-1]) == (champion, ("rolled-back", new))


def test_callers_stay_on_the_healthy_side_and_a_person_is_told_once(shelf, room, champion, told):
    new = left(shelf, room)
    room.down = {"old"}

    reconcile()
    reconcile()
    release = shelf.journal()
    room.down = set()
    reconcile()

    assert (release.state, release.reason) == ("SWITCHING", "the old side is down")
    assert release.candidate.version == new
    assert shelf.actions() == [("told", new), ("rolled-back", new)]
    assert told() == 2  # and that it was taken back in the end
    assert (room.public, shelf.journal().state) == (champion, "ROLLED_BACK")


def test_one_broken_classifier_file_does_not_stop_the_others(shelf, room, champion):
    left(shelf, room)
    Path(os.environ["PERENNIAL_CLASSIFIERS_DIR"], "bad.toml").write_text("name = 1")

    with pytest.raises(ProjectError, match=r"bad: .*bad\.toml.* the next run tries again"):
        reconcile()

    assert (room.public, shelf.journal().state) == (champion, "ROLLED_BACK")


def test_a_commit_is_driven_forward_even_while_the_registry_is_down(
    shelf, room, champion, monkeypatch
):
    new = left(shelf, room)
    write(shelf, releases.committed(shelf.journal()))

    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with pytest.raises(ProjectError, match="news: "):
            reconcile()
    recorded = shelf.actions()
    reconcile()

    assert recorded == shelf.actions() == [("released", new)]
    assert (room.public, shelf.journal().state) == (new, "LIVE")
    assert (shelf.alias("champion"), shelf.alias("previous")) == (new, champion)


@pytest.fixture
def red(shelf, room, champion):
    """Version 2 is released and recorded; an alarm about it turns red after that."""
    new = left(shelf, room)
    record(shelf, write(shelf, releases.committed(shelf.journal())), "released")
    cloudwatch = aws.client("cloudwatch")
    name = f"perennial-{shelf.environment}-news-ec2-error-rate"
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/ApplicationELB",
        MetricName="HTTPCode_Target_5XX_Count",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
    yield new
    cloudwatch.delete_alarms(AlarmNames=[name])


@pytest.fixture
def rollbacks(shelf):
    """The runs of rollback/news that were started."""
    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(client.create_flow_from_name("rollback"), "news")
        mine = filters.FlowRunFilterDeploymentId(any_=[deployment])
        wanted = filters.FlowRunFilter(deployment_id=mine)
        yield lambda: client.read_flow_runs(flow_run_filter=wanted)
        client.delete_deployment(deployment)


def test_traffic_that_a_fenced_out_run_moves_later_goes_back(shelf, room, champion, rollbacks):
    new = left(shelf, room)
    reconcile()
    room.public = new

    reconcile()

    (run,) = rollbacks()
    assert run.parameters["version"] == champion
    assert run.parameters["reason"] == f"callers reach version {new}, the champion is {champion}"


def test_a_red_alarm_starts_one_rollback_and_tells_a_person_when_that_fails(
    shelf, room, red, rollbacks, told
):
    reconcile()
    (run,) = rollbacks()
    silent = told()
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, Failed(message="no way back"), force=True)
    reconcile()
    reconcile()

    assert len(rollbacks()) == 1
    assert f"red since version {red} was released" in run.parameters["reason"]
    assert (silent, told()) == (0, 1)
    assert shelf.actions()[-1] == ("told", red)


def test_what_a_rollback_brought_back_is_not_rolled_back_again(shelf, room, red, rollbacks, told):
    release = shelf.journal()
    back = releases.claimed(
        release, "news", shelf.environment, release.previous, "a dead run", PAST, going_back=True
    )
    now = write(shelf, releases.returned(write(shelf, back), None))
    record(shelf, now, "returned")

    reconcile()
    reconcile()

    assert rollbacks() == []
    assert told() == 1
    assert "what a rollback brought back" in shelf.ledger()[-1].reason
