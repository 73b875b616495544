"""A release in steps: what each look leads to, and what a person must say first."""

import os
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import pytest
from plugins.logged import answer, ship
from plugins.room import LABELS
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas import filters
from prefect.client.schemas.objects import StateType
from prefect.flow_runs import resume_flow_run

from flows.deploy import RolloutPlan, deploy
from tasks import approvals, releases, targets
from tasks.classifiers import load
from tasks.errors import Conflict, GateFailed, OldSideDown
from tasks.policy.watch import Move
from tasks.records import Served
from tasks.settings import Settings
from tasks.strategy import Rollout, Step
from tasks.watching import Watch, follow

# Some looks a step, where the time is the real one.
SHORT = 0.002
STEPS = (Step(percent=10, minutes=SHORT), Step(percent=50, minutes=SHORT))
NUMBERS = count(1)
TEXTS = tuple((f"text {number}", "World") for number in range(60))
OLD, NEW = (Served(one, f"s3://b/{one}", one * 64, "ec2") for one in "12")


def rollout(**more):
    return Rollout(steps=STEPS, bake_minutes=SHORT, **more)


@pytest.fixture
def place(settings_env, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ENVIRONMENT", f"w{next(NUMBERS)}")
    settings = Settings()
    return targets.place_of(settings, load("news", settings.classifiers_dir), None)


@pytest.fixture
def step(place, room, clock):
    """Follow the release of the second version at 10 % of the callers, to where it ends.

    By a clock that looks once in the time of a step: how long a look takes is no matter of luck.
    """
    room.running, room.public, room.share = {"1": OLD, "2": NEW}, "1", 10

    def following(champion=None, **more):
        claimed = releases.claim_release.fn(place, NEW, "this run")
        release = replace(claimed, champion=champion)
        plan = rollout(**more)
        at_ten = Step(percent=10, minutes=1)
        watch = Watch(place, release, NEW, at_ten, plan, TEXTS, [], begun=clock.seconds)
        told = []
        try:
            follow(watch, told.append)
        finally:
            assert told == watch.looks
        return watch

    return following


def test_a_good_step_goes_on_when_its_minutes_are_over(step):
    watch = step()

    assert [(look.minutes, look.move) for look in watch.looks] == [(0, Move.WAIT), (1, Move.GO_ON)]


def test_each_look_renews_the_lease(step, place):
    claimed = releases.claim_release.fn(place, NEW, "this run")

    watch = step()

    assert watch.release.until != claimed.until
    assert releases.read_release.fn(place) == watch.release


def test_errors_end_it_at_once_with_the_numbers(step, room):
    room.answered = lambda share: ((2000, 200, 0), (2000, 2, 0))

    with pytest.raises(GateFailed, match=r"10 % .* FAIL, went back: errors 10\.00 % of 2,000"):
        step()


def test_too_few_requests_are_helped_by_probes_and_never_go_on(step, room):
    room.answered = lambda share: ((3, 0, 0), (30, 0, 0))

    with pytest.raises(GateFailed, match=r"INCONCLUSIVE, given up.* 3 of at least 40 requests"):
        step(min_requests=40)

    assert (room.probed.count("new"), room.probed.count("old")) == (40, 40)


def test_probes_that_are_enough_let_it_go_on(step, room):
    room.answered = lambda share: ((3 + len(room.probed), 0, 0), (300, 0, 0))

    watch = step(min_requests=50)

    assert Move.PROBE in [look.move for look in watch.looks]
    assert "accuracy 1.000 against 1.000 on 50 texts" in "; ".join(watch.reasons)


def test_without_metrics_nothing_goes_on(step, room):
    def blind(share):
        raise ConnectionError("CloudWatch says nothing")

    room.answered = blind
    with pytest.raises(GateFailed, match=r"ERROR, given up.*no metrics: CloudWatch says nothing"):
        step()


def log_answers(at, served, labels):
    rows = [
        answer(f"{served.version}-{number}", at, f"{served.version} {number}", label)
        for number, label in enumerate(labels)
    ]
    rows = [replace(row, bundle_digest=served.bundle_digest) for row in rows]
    ship(os.environ["PERENNIAL_DATA_BUCKET"], rows)


def test_a_version_that_answers_everybody_the_same_goes_back(step, room):
    def answered(share):
        at = datetime.now(UTC)
        log_answers(at, OLD, LABELS * 25)
        log_answers(at, NEW, LABELS[:1] * 100)
        return (2000, 0, 0), (2000, 0, 0)

    room.answered = answered
    with pytest.raises(GateFailed, match=r"FAIL, went back: .* World: 100\.0 % of 100 against 25"):
        step(champion=OLD)


@pytest.mark.parametrize("spare", [True, False])
def test_a_slow_version_gets_one_more_instance_where_there_is_one(step, room, spare):
    room.spare = spare
    room.answered = lambda share: ((2000, 0, 200), (2000, 0, 0))

    with pytest.raises(GateFailed, match=r"slow answers 10\.00 %"):
        step()

    assert room.done.count(("scale out", "2")) == spare


def test_a_sick_new_side_gives_its_callers_back(step, room):
    room.down = {"new"}

    with pytest.raises(GateFailed, match="version 2 is not healthy"):
        step()


def test_a_sick_old_side_hands_its_callers_over(step, room):
    room.down = {"old"}

    assert step().looks[-1].move is Move.TAKE_ALL


def test_a_run_that_lost_its_release_stops(step, room, place):
    def taken(share):
        releases.take_over.fn(place, releases.read_release.fn(place).op_id, "another run")
        return (1000, 0, 0), (1000, 0, 0)

    room.answered = taken
    with pytest.raises(Conflict):
        step()


def page(key):
    with get_client(sync_client=True) as client:
        found = client._client.post(
            "/artifacts/latest/filter", json={"artifacts": {"key": {"any_": [key]}}}
        )
    return found.json()[0]["data"]


def test_a_version_that_fails_later_is_taken_back_and_a_better_one_comes_in_steps(
    shelf, room, champion
):
    bad, good = shelf.version(seed=2), shelf.version(seed=3)
    room.answered = lambda share: ((2000, 200 if share == 50 else 0, 0), (2000, 0, 0))
    with pytest.raises(GateFailed, match="50 % of the callers"):
        deploy("news", bad, RolloutPlan(rollout=rollout()))

    assert room.done == [
        ("start", bad), ("shift", bad, 10), ("shift", bad, 50), ("restore", bad)
    ]  # fmt: skip
    release = shelf.journal()
    assert (room.public, room.share, release.champion.version) == (champion, 0, champion)
    assert (release.state, "errors 10.00 %" in release.reason) == ("ROLLED_BACK", True)
    assert "went back" in page("rollout-news")

    room.done.clear()
    room.answered = lambda share: ((2000, 0, 0), (2000, 0, 0))
    deploy("news", good, RolloutPlan(rollout=rollout()))

    assert room.done == [
        ("start", good), ("shift", good, 10), ("shift", good, 50), ("switch", good)
    ]  # fmt: skip
    assert (shelf.journal().state, shelf.journal().champion.version) == ("LIVE", good)
    told = page("rollout-news")
    assert f"version {good} beside version {champion}" in told
    assert all(f"| {share} % |" in told for share in (10, 50, 100))
    assert "data:image/png" in told


def test_when_both_would_be_bad_the_side_that_answers_keeps_the_callers(shelf, room, champion):
    new = shelf.version(seed=2)
    room.answered = lambda share: ((2000, 200 if share == 100 else 0, 0), (2000, 0, 0))
    room.down = {"old"}

    with pytest.raises(OldSideDown):
        deploy("news", new, RolloutPlan(rollout=rollout()))

    assert (room.public, room.share) == (new, 100)
    assert (shelf.journal().state, shelf.journal().candidate.version) == ("SWITCHING", new)


def test_an_environment_that_takes_no_releases_takes_none(settings_env, monkeypatch):
    monkeypatch.setenv("PERENNIAL_APPROVAL", "never")

    with pytest.raises(GateFailed, match="takes no releases"):
        approvals.ask(Settings(), NEW, "its verdict is PASS")


@flow
def asks():
    return approvals.ask(Settings(), NEW, "its verdict is PASS")


@pytest.fixture
def approval(prefect_server, settings_env, monkeypatch):
    monkeypatch.setenv("PERENNIAL_APPROVAL", "approve")
    monkeypatch.setenv("PERENNIAL_APPROVAL_MINUTES", "5")


def test_silence_means_no(approval, monkeypatch):
    monkeypatch.setenv("PERENNIAL_APPROVAL_MINUTES", "0.02")

    with pytest.raises(GateFailed, match="silence means no"):
        asks()


@pytest.mark.parametrize("approved", [True, False])
def test_a_person_decides_and_says_why(approval, approved):
    decision = {"approved": approved, "by": "Ada", "why": "seen the card"}
    person = threading.Thread(target=decide, args=(decision,))
    person.start()

    if approved:
        assert asks().startswith("approved by Ada at 20")
    else:
        with pytest.raises(GateFailed, match=r"refused by Ada at .*: seen the card"):
            asks()
    person.join()


def decide(decision):
    """Answer the run that waits, as the form in the Prefect UI does.

    A run pauses first and shows its form then: an answer in between is refused.
    """
    paused = filters.FlowRunFilterStateType(any_=[StateType.PAUSED])
    wanted = filters.FlowRunFilter(state=filters.FlowRunFilterState(type=paused))
    deadline = time.monotonic() + 240
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            for run in client.read_flow_runs(flow_run_filter=wanted):
                form = run.state.state_details.run_input_keyset["schema"]
                if client.filter_flow_run_input(run.id, form, limit=1, exclude_keys=set()):
                    resume_flow_run(run.id, run_input=decision)
                    return
            time.sleep(0.2)
