from dataclasses import replace

import pytest

from tasks.errors import Conflict
from tasks.policy import releases
from tasks.records import Outcome, Served, Verdict

OLD = Served("1", "s3://models/1/model.tar.gz", "a" * 64, "ec2")
NEW = Served("2", "s3://models/2/model.tar.gz", "b" * 64, "ec2")
OTHER = Served("3", "s3://models/3/model.tar.gz", "c" * 64, "ec2")
PASSED = Verdict(Outcome.PASS, (), {}, "news", "2", NEW.bundle_digest, None, "d" * 64, "s3://e")


def claimed(before, wanted=NEW, holder="run-1"):
    return releases.claimed(before, "news", "dev", wanted, holder)


def live(champion=OLD):
    return releases.committed(releases.switching(claimed(None, champion)))


def test_a_pass_for_exactly_these_bytes_goes_out():
    assert releases.objections(PASSED, NEW.bundle_digest, "") == ()


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR])
def test_nothing_but_a_pass_goes_out(outcome):
    verdict = replace(PASSED, outcome=outcome, reasons=("accuracy 0.61 is under 0.85",))

    refused = releases.objections(verdict, NEW.bundle_digest, "")

    assert refused == (f"its verdict is {outcome}", "accuracy 0.61 is under 0.85")


def test_a_pass_for_other_bytes_is_no_pass():
    assert "another bundle" in releases.objections(PASSED, OTHER.bundle_digest, "")[0]


def test_never_evaluated_is_refused():
    assert "never evaluated" in releases.objections(None, NEW.bundle_digest, "")[0]


def test_an_override_needs_a_reason_that_says_something():
    verdict = replace(PASSED, outcome=Outcome.FAIL)

    assert releases.objections(verdict, NEW.bundle_digest, "the old one is broken") == ()
    assert "blank" in releases.objections(verdict, NEW.bundle_digest, "  ")[0]


def test_first_release_ends_with_a_champion_and_no_previous():
    release = live()

    assert (release.state, release.champion, release.previous) == ("LIVE", OLD, None)
    assert release.candidate is None


def test_second_release_keeps_what_it_replaced_as_previous():
    release = releases.committed(releases.switching(claimed(live())))

    assert (release.champion, release.previous) == (NEW, OLD)


def test_releasing_the_champion_again_keeps_previous():
    second = releases.committed(claimed(live()))

    again = releases.committed(claimed(second, NEW))

    assert (again.champion, again.previous) == (NEW, OLD)


def test_rolled_back_serves_the_old_champion_and_says_why():
    release = releases.rolled_back(releases.switching(claimed(live())), "smoke: status 500")

    assert (release.state, release.champion, release.candidate) == ("ROLLED_BACK", OLD, None)
    assert release.reason == "smoke: status 500"
    assert claimed(release).reason == ""


def test_every_step_raises_the_generation():
    steps = [before := live(), claim := claimed(before), switch := releases.switching(claim)]
    steps += [releases.committed(switch), releases.committed(releases.switching(claim))]

    assert [step.generation for step in steps] == [3, 4, 5, 6, 6]


def test_an_unfinished_release_is_continued_under_its_own_name():
    first = releases.switching(claimed(live()))

    second = claimed(first, holder="run-2")

    assert (second.op_id, second.state) == (first.op_id, "SWITCHING")
    assert not releases.holds(second, first.op_id, "run-1")
    assert releases.holds(second, first.op_id, "run-2")


def test_another_candidate_waits_for_the_unfinished_one():
    with pytest.raises(Conflict, match="version 2 is STAGING, held by run-1"):
        claimed(claimed(live()), OTHER, "run-2")


def test_a_new_try_after_a_rollback_is_a_new_operation():
    first = claimed(live())

    assert claimed(releases.rolled_back(first, "x")).op_id != first.op_id


def test_nothing_is_put_back_after_the_commit():
    release = claimed(live())

    assert not releases.holds(releases.committed(release), release.op_id, "run-1")
    assert not releases.holds(None, release.op_id, "run-1")


def test_champion_is_only_what_a_finished_release_left():
    assert releases.is_champion(live(), OLD)
    assert not releases.is_champion(claimed(live()), OLD)
    assert not releases.is_champion(live(), replace(OLD, target="sagemaker"))


def test_the_lease_moves_with_each_step_and_stays_when_the_release_is_over():
    claim = releases.claimed(live(), "news", "dev", NEW, "run-1", until="10:00")
    renewed = releases.renewed(claim, "10:10")
    switch = releases.switching(renewed, "10:20")
    taken = releases.taken_over(switch, "run-2", "10:30")

    assert [one.until for one in (claim, renewed, switch, taken)] == [
        "10:00",
        "10:10",
        "10:20",
        "10:30",
    ]
    assert renewed == replace(claim, until="10:10")
    assert (taken.state, taken.op_id, taken.generation) == (
        "SWITCHING",
        claim.op_id,
        switch.generation + 1,
    )
    assert releases.committed(taken).until == "10:30"
