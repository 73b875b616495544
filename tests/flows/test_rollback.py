"""Going back, on a target in memory; what really serves is in test_deploy_ec2 and _sagemaker."""

from dataclasses import replace
from datetime import timedelta

import pytest
from plugins.champions import FIRST
from prefect import flow
from prefect.client.orchestration import get_client

from flows import rollback as module
from flows.deploy import deploy
from flows.rollback import rollback
from tasks import history, returning, rollout
from tasks.adapters import aws, journal, registry
from tasks.classifiers import load
from tasks.errors import BadInput, Conflict, GateFailed, NotFound
from tasks.policy import releases
from tasks.policy.history import Past
from tasks.records import Served
from tasks.settings import Settings
from tasks.targets import place_of


def write(shelf, release):
    key = f"releases/{shelf.environment}/news/journal.json"
    return journal.write(aws.client("s3"), shelf.bucket, key, release)


def corrupt(shelf, served):
    key = served.bundle_uri.partition(f"{shelf.bucket}/")[2]
    aws.client("s3").put_object(Bucket=shelf.bucket, Key=key, Body=b"rotten")


def artifact(key):
    with get_client(sync_client=True) as client:
        found = client._client.post(
            "/artifacts/latest/filter", json={"artifacts": {"key": {"any_": [key]}}}
        )
    (one,) = found.json()
    return one


def test_it_goes_back_to_what_served_before_and_once_is_enough(shelf, room, two, sandbox):
    first, second = two
    sandbox.clear_calls()

    rollback("news", reason="nonsense since noon")
    after, told = shelf.journal(), shelf.ledger()
    again = rollback("news")

    assert again == first
    assert (room.public, room.done) == (first.version, [("switch", first.version)])
    assert shelf.journal() == after
    assert (after.state, after.champion, after.previous) == ("LIVE", first, None)
    assert shelf.ledger() == told
    assert shelf.actions()[-2:] == [("returning", first.version), ("returned", first.version)]
    assert "nonsense since noon" in told[-1].reason
    assert told[-1].evidence["from"] == second.version
    assert (shelf.alias("champion"), shelf.alias("previous")) == (first.version, None)
    assert [call["action"] for call in sandbox.calls()].count("Publish") == 1
    tags = registry.get_tags(registry.client(shelf.mlflow), "bert-news-classifier", second.version)
    assert "nonsense since noon" in tags["rollback_reason"]
    assert (
        f'"was": "returned", "instead of": "{second.version}"' in artifact("history-news")["data"]
    )


@pytest.mark.usefixtures("engineless")
def test_it_goes_to_the_champion_of_a_moment(shelf, room, two, released):
    first = two[0]
    released(3)
    moment = FIRST + timedelta(seconds=30)

    rollback("news", as_of=moment.replace(tzinfo=None))

    assert room.public == shelf.journal().champion.version == first.version


@pytest.mark.usefixtures("engineless")
def test_what_never_was_champion_goes_nowhere(shelf, room, two):
    before = shelf.journal()

    with pytest.raises(GateFailed, match="never was champion of news"):
        rollback("news", shelf.version(seed=3))

    assert (shelf.journal(), room.done) == (before, [])


@pytest.mark.usefixtures("engineless")
def test_neither_the_registry_nor_the_bad_bundle_is_needed(shelf, room, two, monkeypatch, caplog):
    first, second = two
    corrupt(shelf, second)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    rollback("news")

    assert room.public == shelf.journal().champion.version == first.version
    assert "are behind the journal" in caplog.text


@pytest.mark.usefixtures("engineless")
def test_a_rotten_bundle_is_refused_up_front_and_the_next_good_one_named(
    shelf, room, two, released
):
    first, second = two
    third = released(3)
    corrupt(shelf, second)

    with pytest.raises(
        BadInput, match=rf"not a whole tar\.gz.*next good version is {first.version}"
    ):
        rollback("news")

    assert (room.public, room.done) == (third.version, [])
    assert shelf.journal().state == "LIVE"


@pytest.mark.usefixtures("engineless")
def test_a_version_that_does_not_run_any_more_is_started_and_tried(shelf, room, two):
    first, second = two
    del room.running[first.version]
    room.sick = True

    with pytest.raises(GateFailed, match="model broke"):
        rollback("news")
    assert room.public == shelf.journal().champion.version == second.version
    room.sick = False
    rollback("news")

    assert room.done[-1] == ("switch", first.version)
    assert room.public == shelf.journal().champion.version == first.version


@pytest.mark.usefixtures("engineless")
def test_a_side_that_was_found_sick_is_tried_again_although_it_runs(shelf, room, two):
    first, second = two
    del room.running[first.version]
    room.sick = True

    for _ in range(2):
        with pytest.raises(GateFailed, match="model broke"):
            rollback("news")

    assert room.done.count(("start", first.version)) == 1
    assert ("switch", first.version) not in room.done
    assert room.public == shelf.journal().champion.version == second.version


@pytest.mark.usefixtures("engineless")
def test_a_half_switched_release_is_put_back(shelf, room, two):
    """Its process died between the switch and the commit: the champion is the good one."""
    second = two[1]
    third = Served("9", "s3://models/9", "9" * 64, "ec2")
    claim = releases.claimed(shelf.journal(), "news", shelf.environment, third, "a dead run")
    write(shelf, releases.switching(claim))
    room.running["9"], room.before, room.public = third, second.version, "9"

    rollback("news")

    assert room.public == shelf.journal().champion.version == second.version
    assert shelf.actions()[-2:] == [("rolled-back", "9"), ("returned", second.version)]


@pytest.mark.usefixtures("engineless")
def test_a_target_that_strayed_from_the_journal_is_set_right(shelf, room, two):
    first, second = two
    room.public = first.version

    rollback("news", second.version)

    assert room.public == shelf.journal().champion.version == second.version


@pytest.mark.usefixtures("engineless")
def test_a_running_release_is_taken_over_and_its_holder_touches_nothing_more(
    shelf, room, two, monkeypatch
):
    second = two[1]
    third = shelf.version(seed=3)
    real = rollout.smoke_test

    def meanwhile(*args):
        rollback("news", reason="stop it")
        room.done.clear()
        return real(*args)

    monkeypatch.setattr(rollout, "smoke_test", meanwhile)
    with pytest.raises(Conflict, match="came too late"):
        deploy("news", third)

    assert (room.public, room.done) == (second.version, [])
    assert (shelf.journal().state, shelf.journal().champion) == ("ROLLED_BACK", second)
    assert shelf.actions()[-2:] == [("rolled-back", third), ("returned", second.version)]


class Killed(BaseException):
    """The process ended here."""


@pytest.mark.usefixtures("engineless")
def test_a_rollback_that_died_after_its_commit_is_told_to_the_ledger_once(
    shelf, room, two, monkeypatch
):
    first, second = two

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module.decisions, "record_returned", killed)
        with pytest.raises(Killed):
            rollback("news", reason="nonsense")
    rollback("news")

    assert room.done == [("switch", first.version)]
    assert shelf.actions()[-2:] == [("returning", first.version), ("returned", first.version)]
    assert shelf.ledger()[-1].evidence["from"] == second.version


def test_an_old_record_without_an_address_asks_the_registry(shelf, two):
    place = place_of(Settings(), load("news", Settings().classifiers_dir), None)
    past = returning.read_past.fn(place)
    for entry in past.entries:
        del entry.evidence["uri"]
    old = Past(past.entries, replace(past.release, champion=two[1], previous=None))
    asked = (place, old, two[0].version, None, None)

    found = returning.find_version.fn(*asked, shelf.mlflow, "bert-news-classifier")

    assert found == two[0]
    with pytest.raises(NotFound, match="too old to name the bundle's address"):
        returning.find_version.fn(*asked, shelf.mlflow, "another-model")


def test_a_ledger_that_was_tampered_with_says_so(shelf, two, caplog):
    place = place_of(Settings(), load("news", Settings().classifiers_dir), None)
    s3, key = aws.client("s3"), f"{place.releases}/ledger/00000001.json"
    body = s3.get_object(Bucket=shelf.bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=shelf.bucket, Key=key, Body=body.replace(b"a test", b"nobody"))

    told = flow(history.publish_history.fn)(place)

    assert "TAMPERED WITH: record 2 does not follow record 1" in told
    assert told in artifact("history-news")["description"]
    assert returning.read_past.fn(place).broken
    assert "tampered with" in caplog.text
