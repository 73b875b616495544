"""Who was champion when, and what a rollback goes back to."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import BadInput, GateFailed, NotFound
from tasks.policy import history, releases
from tasks.policy.history import Past
from tasks.records import Entry, Release, Served

START = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)


def told(*decisions):
    """A ledger, one decision a minute: "released 2", "returned 1 2" (to 1 from 2), "started 3"."""
    entries = []
    for minute, decision in enumerate(decisions):
        action, version, *left = decision.split()
        evidence = {"bundle": version * 64, "uri": f"s3://models/{version}", "target": "ec2"}
        evidence |= {"from": left[0]} if left else {}
        at = (START + timedelta(minutes=minute)).isoformat()
        entries.append(
            Entry(
                at, "flow run 1234", action, "news", version, "so it was", f"op-{minute}", evidence
            )
        )
    return Past(tuple(entries))


def serving(version):
    return Served(version, f"s3://models/{version}", version * 64, "ec2")


def journal(champion, candidate=None, **more):
    release = releases.committed(
        releases.claimed(None, "news", "dev", serving(champion), "flow run 1")
    )
    if candidate is None:
        return release
    return releases.claimed(release, "news", "dev", serving(candidate), "flow run 2", **more)


@pytest.mark.parametrize(
    ("decisions", "champion", "previous"),
    [
        (["released 1"], "1", None),
        (["released 1", "released 2"], "2", "1"),
        (["released 1", "released 2", "released 2"], "2", "1"),
        (["released 1", "released 2", "rolled-back 3"], "2", "1"),
        (["released 1", "released 2", "returned 1 2"], "1", None),
        (["released 1", "released 2", "returned 1 2", "released 3"], "3", "1"),
        (["released 1", "released 2", "returned 1 2", "released 2"], "2", "1"),
        (["released 1", "released 2", "released 3", "returned 1 3"], "1", None),
        (["released 1", "released 2", "released 3", "returned 2 3", "released 4"], "4", "2"),
        (["released 1", "released 2", "released 1"], "1", "2"),
        (["released 1", "released 2", "returned 2 2"], "2", "1"),
        (["released 1", "released 2", "returned 2 3"], "2", "1"),
    ],
)
def test_what_served_well_before_the_champion(decisions, champion, previous):
    past = told(*decisions)

    found = history.previous_good(past)

    assert history.champions(past)[-1].version == champion
    assert (found and found.version) == previous


@given(st.lists(st.one_of(st.sampled_from("12345"), st.none()), max_size=25))
def test_going_back_again_and_again_is_a_stack_without_what_was_left(steps):
    """A number promotes that version, None goes back once; the model is a plain stack."""
    stack, decisions = [], []
    for step in steps:
        if step is not None:
            stack = [*(one for one in stack if one != step), step]
            decisions += [f"started {step}", f"released {step}"]
        elif len(stack) > 1:
            left = stack.pop()
            decisions += [f"returning {stack[-1]}", f"returned {stack[-1]} {left}"]
            decisions += ["rolled-back 9"]  # a candidate that never became champion

    past = told(*decisions)

    assert [entry.version for entry in history.good(past)] == stack
    assert (found.version if (found := history.previous_good(past)) else None) == (
        stack[-2] if len(stack) > 1 else None
    )
    assert [one.version for one in history.champions(past)][-1:] == stack[-1:]


def test_the_champion_of_a_moment():
    past = told("released 1", "started 2", "released 2", "rolled-back 3", "returned 1 2")

    def at(minute):
        found = history.champion_at(past, START + timedelta(minutes=minute))
        return found and found.version

    assert [at(minute) for minute in (-1, 0, 1.9, 2, 3.9, 4, 99)] == [
        *(None, "1", "1", "2", "2", "1", "1")
    ]


def test_a_champion_that_the_ledger_has_not_heard_of_counts():
    """The run died between the commit and its record."""
    told_before = told("released 1", "started 2").entries
    past = Past(told_before, journal("2"))

    assert history.previous_good(past).version == "1"
    assert history.champion_at(past, START + timedelta(minutes=1)).version == "2"


def test_asked_for_nothing_the_last_change_is_undone():
    assert history.choose(told("released 1", "released 2"), "news").version == "1"


def test_what_was_undone_is_not_undone_again():
    past = told("released 1", "released 2", "released 3", "returned 2 3")

    assert history.choose(past, "news").version == "2"
    assert history.choose(past, "news", version="1").version == "1"


def test_an_unfinished_release_is_what_is_undone():
    entries = told("released 1", "released 2", "started 3").entries

    assert history.choose(Past(entries, journal("2", "3")), "news").version == "2"


def test_an_unfinished_rollback_is_gone_on_with():
    entries = told("released 1", "released 2").entries
    past = Past(entries, journal("2", "1", going_back=True))

    assert history.choose(past, "news").version == "1"


def test_as_of_a_moment_in_the_past():
    past = told("released 1", "released 2", "released 3")

    assert history.choose(past, "news", as_of=START + timedelta(seconds=61)).version == "2"
    with pytest.raises(NotFound, match="the first was version 1 at 2026-01-15"):
        history.choose(past, "news", as_of=START - timedelta(days=1))


def test_what_never_was_champion_is_a_matter_for_deploy():
    with pytest.raises(GateFailed, match=r"only 1, 2 were; .*run 'deploy/news' -p version='\"7\"'"):
        history.choose(told("released 1", "released 2"), "news", version="7")


@pytest.mark.parametrize("decisions", [[], ["started 1", "rolled-back 1"]])
def test_without_a_champion_there_is_nothing_to_go_back_to(decisions):
    with pytest.raises(NotFound, match="never had a champion"):
        history.choose(told(*decisions), "news")


def test_the_first_champion_has_nothing_before_it():
    with pytest.raises(NotFound, match="nothing served well before version 1"):
        history.choose(told("released 1"), "news")


def test_a_version_and_a_moment_at_once_are_refused():
    with pytest.raises(BadInput, match="not both"):
        history.choose(told("released 1"), "news", "1", START)


@pytest.mark.parametrize(("asked", "other"), [("2", "1"), ("1", "2"), ("3", "2")])
def test_when_a_version_cannot_be_had_the_next_good_one_is_named(asked, other):
    entries = told("released 1", "released 2", "released 3").entries

    assert history.next_good(Past(entries, journal("3")), asked).version == other


def test_it_goes_back_to_the_bytes_that_served_where_callers_ask_today():
    past = Past(told("released 1", "released 2").entries, journal("2"))

    assert history.served(past.entries[0], past, None) == serving("1")
    assert history.served(past.entries[0], past, "sagemaker").target == "sagemaker"


def test_an_old_record_without_the_address_finds_it_in_the_journal():
    (entry,) = told("released 2").entries
    del entry.evidence["uri"]

    assert history.served(entry, Past((entry,), journal("2")), None).bundle_uri == "s3://models/2"
    assert history.served(entry, Past((entry,)), None).bundle_uri == ""


def test_the_table_has_short_cells_and_the_newest_on_top():
    past = told("released 1", "started 2", "released 2", "returned 1 2")

    rows = history.rows(past.entries)

    assert [(row["was"], row["version"], row["instead of"]) for row in rows] == [
        *(("returned", "1", "2"), ("released", "2", ""), ("released", "1", ""))
    ]
    assert rows[0]["when (UTC)"] == "2026-01-15 10:33"
    long = Entry("2026", "run", "rolled-back", "news", "1", "a\n" * 99, "op")
    assert len(history.rows([long])[0]["why"]) == 40


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        (
            "GateFailed: 10 % of the callers, minute 0.3 of the rollout: FAIL, went back: errors 9",
            "10 %: FAIL, went back: errors 9",
        ),
        (
            "flow run 8ae6e0af-0970-4197-9501-f823ae13c2da attempt 1 ended while",
            "run 8ae6e0af ended while",
        ),
        ("rollback from version 2: slow", "rollback from version 2: slow"),
    ],
)
def test_a_short_cell_says_what_matters_of_the_reason(reason, why):
    entry = Entry("2026", "run", "rolled-back", "news", "1", reason, "op")

    assert history.rows([entry])[0]["why"] == why


def test_the_registry_hears_when_a_version_was_released_and_left():
    found = history.tags(told("released 1", "released 2", "returned 1 2").entries)

    assert found["2"]["released_at"] == "2026-01-15T10:31:00+00:00"
    assert found["2"]["rolled_back_at"] == "2026-01-15T10:32:00+00:00"
    assert "rolled_back_at" not in found["1"]


def test_a_release_in_other_hands_is_the_same_release():
    before: Release = journal("2", "3")

    taken = releases.taken_over(before, "flow run 9")

    assert taken.generation > before.generation
    assert (taken.op_id, taken.candidate) == (before.op_id, before.candidate)
    assert not releases.holds(taken, before.op_id, before.holder)


def test_a_former_champion_comes_back_without_the_one_that_failed():
    release = releases.returned(journal("2", "1"), serving("0"))

    assert (release.state, release.champion, release.previous) == (
        "LIVE",
        serving("1"),
        serving("0"),
    )
    assert release.candidate is None
