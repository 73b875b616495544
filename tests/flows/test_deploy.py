"""The order of a release and what is put back, on a target in memory; real targets have their own
files."""

import pytest
from plugins.sudden_death import Killed, NoUndo

from flows import deploy as module
from flows.deploy import RolloutPlan, deploy
from tasks import rollout
from tasks.errors import BadInput, Conflict, DeployFailed, GateFailed

pytestmark = pytest.mark.usefixtures("engineless")


def test_the_second_release_keeps_the_first_as_previous(shelf, room, champion, sandbox):
    new = shelf.version(seed=2)
    sandbox.clear_calls()

    served = deploy("news", new)

    release = shelf.journal()
    assert room.public == served.version == release.champion.version == new
    assert (release.state, release.previous.version, release.candidate) == ("LIVE", champion, None)
    assert (shelf.alias("champion"), shelf.alias("previous")) == (new, champion)
    assert shelf.actions()[-2:] == [("started", new), ("released", new)]
    assert [call["action"] for call in sandbox.calls()].count("Publish") == 1


def test_releasing_the_champion_again_does_nothing_and_proves_it(shelf, room, champion):
    journal = shelf.journal()

    deploy("news", champion)
    deploy("news", champion)

    assert room.done == []
    assert shelf.journal() == journal
    assert shelf.actions() == [("released", champion)]


def test_without_a_pass_nothing_is_touched(shelf, room, champion):
    new = shelf.version(seed=2, outcome="INCONCLUSIVE")
    before = shelf.journal()

    with pytest.raises(GateFailed, match=r"its verdict is INCONCLUSIVE; accuracy 0\.61"):
        deploy("news", new)

    assert (shelf.journal(), room.done) == (before, [])


def test_an_override_goes_out_and_its_reason_is_in_the_ledger(shelf, room, champion):
    new = shelf.version(seed=2, outcome="FAIL")

    deploy("news", new, RolloutPlan(override_reason="the old one answers nonsense"))

    assert room.public == new
    reasons = {entry.action: entry.reason for entry in shelf.ledger() if entry.version == new}
    assert reasons["started"] == reasons["released"] == "override: the old one answers nonsense"


def test_a_broken_bundle_is_refused_before_anything_starts(shelf, room, champion):
    new = shelf.version(seed=2, archive=b"not a bundle")

    with pytest.raises(BadInput, match=r"not a whole tar\.gz"):
        deploy("news", new)

    assert room.done == []
    assert_old_serves(shelf, room, champion, "not a whole")


def test_a_failing_smoke_test_puts_everything_back(shelf, room, champion):
    new = shelf.version(seed=2)
    room.sick = True

    with pytest.raises(GateFailed, match="status 500: model broke"):
        deploy("news", new)

    assert ("switch", new) not in room.done
    assert_old_serves(shelf, room, champion, "status 500: model broke")


def test_an_unproved_switch_is_taken_back(shelf, room, champion):
    new = shelf.version(seed=2)
    room.unproved = True

    with pytest.raises(DeployFailed, match="the old one answers"):
        deploy("news", new)

    assert room.done == [("start", new), ("switch", new), ("restore", new)]
    assert_old_serves(shelf, room, champion, "the old one answers")


def test_nobody_told_is_a_warning(shelf, room, sandbox, caplog):
    sandbox.fault(service="sns", action="Publish", kind="access-denied", times=9)

    deploy("news", shelf.version(seed=1))

    sandbox.clear_faults()
    assert shelf.journal().state == "LIVE"
    assert "nobody was told" in caplog.text


@pytest.mark.parametrize(
    ("where", "step", "moment"),
    [
        ("rollout", "stage", "after"),
        ("rollout", "switch", "after"),
        ("releases", "commit_release", "after"),
        ("decisions", "record_released", "before"),
    ],
)
def test_a_killed_release_is_continued_to_one_end(
    shelf, room, champion, monkeypatch, where, step, moment
):
    new = shelf.version(seed=2)
    real = getattr(getattr(module, where), step)

    def killed(*args, **options):
        if moment == "after":
            real(*args, **options)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, "ExitStack", NoUndo)
        patch.setattr(getattr(module, where), step, killed)
        with pytest.raises(Killed):
            deploy("news", new)
    deploy("news", new)

    assert room.done == [("start", new), ("switch", new)]
    assert (room.public, shelf.journal().state) == (new, "LIVE")
    assert shelf.actions()[-2:] == [("started", new), ("released", new)]
    assert (shelf.alias("champion"), shelf.alias("previous")) == (new, champion)


def test_of_two_at_once_the_first_is_fenced_out_before_it_touches_traffic(
    shelf, room, champion, monkeypatch
):
    new = shelf.version(seed=2)
    real = rollout.smoke_test
    second = []

    def overtaken(*args):
        if not second:
            second.append("started")
            deploy("news", new)
        return real(*args)

    monkeypatch.setattr(rollout, "smoke_test", overtaken)
    with pytest.raises(Conflict, match="came too late"):
        deploy("news", new)

    assert room.done == [("start", new), ("switch", new)]
    assert (room.public, shelf.journal().champion.version) == (new, new)


def test_another_version_waits_for_an_unfinished_release(shelf, room, champion, monkeypatch):
    new, third = shelf.version(seed=2), shelf.version(seed=3)
    real = rollout.smoke_test

    def intruded(*args):
        with pytest.raises(Conflict, match=f"the release of version {new} is STAGING"):
            deploy("news", third)
        return real(*args)

    monkeypatch.setattr(rollout, "smoke_test", intruded)
    deploy("news", new)

    assert room.public == new


def assert_old_serves(shelf, room, champion, reason):
    release = shelf.journal()
    assert room.public == release.champion.version == champion
    assert (release.state, release.candidate) == ("ROLLED_BACK", None)
    assert reason in release.reason
    assert shelf.ledger()[-1].action == "rolled-back"
    assert shelf.alias("champion") == champion
