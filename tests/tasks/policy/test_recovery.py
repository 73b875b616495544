from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.policy import recovery, releases
from tasks.policy.recovery import Fate, Need
from tasks.records import Alarm, Entry, Release, Served

NOW = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
OLD = Served("1", "s3://models/1", "a" * 64, "ec2")
NEW = Served("2", "s3://models/2", "b" * 64, "ec2")
STAGING = Release(7, "STAGING", OLD, None, NEW, "op", "e", "run-1")
SWITCHING = replace(STAGING, state="SWITCHING")
LIVE = Release(9, "LIVE", NEW, OLD, None, "op", "e", "run-1")
BACK = replace(STAGING, state="ROLLED_BACK", candidate=None)
RED = Alarm("perennial-dev-news-ec2-error-rate", NOW - timedelta(minutes=1))


def at(minutes):
    return (NOW + timedelta(minutes=minutes)).isoformat(timespec="seconds")


def entry(action="released", op_id="op", minutes=-5):
    return Entry(at(minutes), "run-1", action, "news", "2", "its verdict is PASS", op_id)


def found(release, fate=Fate.ALIVE, history=(), alarms=(), now=NOW, answered=None):
    return recovery.needed(release, fate, now, history, alarms, answered)


LEASES = {"none": "", "running": at(1), "past": at(-1)}


@pytest.mark.parametrize(
    ("state", "lease", "fate"), list(product(("STAGING", "SWITCHING"), LEASES, Fate))
)
def test_an_unfinished_release_is_taken_back_when_its_run_is_over_or_its_lease_past(
    state, lease, fate
):
    release = replace(STAGING, state=state, until=LEASES[lease])

    need = found(release, fate).need

    if fate is Fate.OVER or lease == "past":
        assert need is Need.TAKE_BACK
    elif fate is Fate.UNKNOWN and lease == "none":
        assert need is Need.TELL
    else:
        assert need is Need.NOTHING


@pytest.mark.parametrize(("back", "lease", "fate"), list(product((False, True), LEASES, Fate)))
def test_what_is_live_but_not_in_the_ledger_is_finished_when_nobody_else_does_it(back, lease, fate):
    release = replace(LIVE, until=LEASES[lease], going_back=back)

    finding = found(release, fate, [entry("started")], [RED])

    left = fate is Fate.OVER or lease == "past" or (fate is Fate.UNKNOWN and lease == "none")
    assert finding.need is (Need.CONVERGE if left else Need.NOTHING)


def test_a_rollback_that_died_is_finished_never_undone():
    finding = found(replace(SWITCHING, going_back=True), Fate.OVER)

    assert (finding.need, finding.version) == (Need.ROLL_BACK, "2")


@pytest.mark.parametrize("fate", list(Fate))
def test_never_released_and_rolled_back_are_at_rest(fate):
    assert found(None, fate, alarms=[RED]).need is Need.NOTHING
    assert found(replace(BACK, until=at(-9)), fate, alarms=[RED]).need is Need.NOTHING


def test_an_alarm_that_turns_red_after_the_release_takes_it_back():
    finding = found(LIVE, history=[entry()], alarms=[RED])

    assert (finding.need, finding.version) == (Need.ROLL_BACK, None)
    assert finding.reason == f"red since version 2 was released: {RED.name}"


@pytest.mark.parametrize("minutes", [-5, -60])
def test_an_alarm_that_was_red_before_the_release_is_not_its_fault(minutes):
    alarm = replace(RED, since=NOW + timedelta(minutes=minutes))

    assert found(LIVE, history=[entry()], alarms=[alarm]).need is Need.NOTHING


@pytest.mark.parametrize(
    ("release", "action"),
    [
        (replace(LIVE, going_back=True), "returned"),
        (replace(LIVE, previous=None), "released"),
    ],
)
def test_what_cannot_or_must_not_go_back_again_is_for_a_person(release, action):
    assert found(release, history=[entry(action)], alarms=[RED]).need is Need.TELL


def test_the_commit_of_another_release_says_nothing_about_this_one():
    assert found(LIVE, Fate.OVER, [entry(op_id="other")], [RED]).need is Need.CONVERGE


@pytest.mark.parametrize(("release", "champion"), [(LIVE, "2"), (BACK, "1")])
def test_traffic_that_a_fenced_out_run_moved_goes_back_to_the_champion(release, champion):
    strayed = found(release, history=[entry()], alarms=[RED], answered="3")

    assert (strayed.need, strayed.version) == (Need.ROLL_BACK, champion)
    assert strayed.reason == f"callers reach version 3, the champion is {champion}"
    assert found(release, history=[entry()], answered=champion).need is Need.NOTHING
    assert found(STAGING, answered="3").need is Need.NOTHING


def test_a_fenced_out_run_is_reckoned_with_for_an_hour():
    assert recovery.fresh(replace(BACK, until=at(-59)), NOW)
    assert not recovery.fresh(replace(BACK, until=at(-61)), NOW)
    assert not recovery.fresh(BACK, NOW)


@pytest.mark.parametrize(
    ("name", "blames"),
    [
        ("ec2-error-rate", True),
        ("endpoint-latency", True),
        ("ec2-no-healthy-host", True),
        ("ec2-no-requests", False),
        ("v12-5xx", False),
        ("two-ec2-error-rate", False),  # of the classifier news-two
    ],
)
def test_only_alarms_about_what_serves_blame_it(name, blames):
    assert recovery.blames(name) is blames


moments = st.integers(-600, 600).map(at)
journals = st.builds(
    replace,
    st.sampled_from([STAGING, SWITCHING, LIVE, BACK]),
    until=st.just("") | moments,
    going_back=st.booleans(),
)
ledgers = st.lists(
    st.builds(
        entry,
        st.sampled_from(["started", "released", "returned", "rolled-back", "told"]),
        st.sampled_from(["op", "other"]),
        st.integers(-600, 0),
    ),
    max_size=5,
)
reds = st.lists(st.integers(-600, 0).map(lambda m: replace(RED, since=NOW + timedelta(minutes=m))))


@given(journals, st.sampled_from(Fate), ledgers, reds)
def test_a_holder_at_work_within_its_lease_is_never_disturbed(release, fate, history, alarms):
    finding = found(replace(release, until=at(1)), Fate.ALIVE, history, alarms)

    if release.state in releases.UNFINISHED or not recovery.watched(release, history):
        assert finding.need is Need.NOTHING


@given(journals, st.sampled_from(Fate), ledgers, reds)
def test_each_need_fits_the_state_and_says_why(release, fate, history, alarms):
    finding = found(release, fate, history, alarms)

    assert finding.reason
    if finding.need is Need.TAKE_BACK:
        assert release.state in releases.UNFINISHED
        assert not release.going_back
    if finding.need is Need.CONVERGE:
        assert release.state == "LIVE"
    if release.state == "ROLLED_BACK":
        assert finding.need is Need.NOTHING


@given(journals, st.sampled_from(Fate), ledgers, st.integers(0, 10_000))
def test_what_was_left_alone_long_enough_stays_found(release, fate, history, minutes):
    first = found(release, fate, history).need
    later = found(release, fate, history, now=NOW + timedelta(minutes=minutes)).need

    if first in (Need.TAKE_BACK, Need.CONVERGE, Need.ROLL_BACK):
        assert later is first
