from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.policy.feedback import (
    MINIMUM,
    Answer,
    Joined,
    Labelled,
    Labels,
    OfClass,
    VersionAccuracy,
    accuracy,
    join,
    judged,
    labels_needed,
    last_of_each_text,
)
from tasks.policy.intervals import wilson

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("World", "Sports")

said = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(NAMES)), max_size=60
)  # (request, label), in the order of time
logged = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(NAMES), st.integers(0, 1)))


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def told(rows, most: int = 1000) -> Labels:
    labels = Labels(most)
    for moment, (request, label) in rows:
        labels.add(f"r{request}", at(moment), label)
    return labels


def answer(request: int, label: str = "World", text: str = "", version: str = "v1") -> Answer:
    return Answer(f"r{request}", version, f"digest of {version}", label, text)


def version_with(right: int, labelled: int) -> VersionAccuracy:
    return VersionAccuracy("v1", "d", labelled, right, wilson(right, labelled), {})


@given(said, logged, st.randoms(use_true_random=False))
def test_labels_come_in_any_order_and_answers_too(rows, answers, chance):
    numbered = list(enumerate(rows))
    found = [answer(request, label, f"text {text}") for request, label, text in answers]
    shuffled, logged_so = list(numbered), list(found)
    chance.shuffle(shuffled)
    chance.shuffle(logged_so)

    first, second = join(told(numbered), found), join(told(shuffled), logged_so)

    assert first == second


@given(said, logged)
def test_every_label_is_used_unknown_or_ambiguous_and_the_last_one_counts(rows, answers):
    found = [answer(request, label, f"text {text}") for request, label, text in answers]
    last = {f"r{request}": label for request, label in rows}

    joined = join(told(enumerate(rows)), found)

    assert len(joined.rows) + joined.unknown + joined.ambiguous == len(last)
    assert {row.answer.request_id: row.label for row in joined.rows}.items() <= last.items()
    meant = {one.request_id: {a for a in found if a.request_id == one.request_id} for one in found}
    assert {row.answer.request_id for row in joined.rows} == {
        name for name in last if len(meant.get(name, ())) == 1
    }


@given(said, st.lists(st.integers(0, 59), max_size=20), logged)
def test_saying_a_label_again_changes_nothing(rows, again, answers):
    numbered = list(enumerate(rows))
    repeated = [*numbered, *(numbered[one] for one in again if one < len(rows))]
    found = [answer(request, label) for request, label, _ in answers]

    assert join(told(repeated), [*found, *found]) == join(told(numbered), found)


@given(
    st.lists(st.tuples(st.integers(0, 500), st.sampled_from(NAMES)), max_size=300),
    st.randoms(use_true_random=False),
)
def test_too_many_labels_leave_the_same_share_in_any_order(rows, chance):
    numbered = list(enumerate(rows))
    shuffled = list(numbered)
    chance.shuffle(shuffled)

    first, second = told(numbered, most=20), told(shuffled, most=20)

    assert len(first) <= 20
    assert sorted(first.requests) == sorted(second.requests)
    assert first.share == second.share
    assert (first.share == 1) == (len({request for request, _ in rows}) <= 20)
    assert all(first.of(name) == second.of(name) for name in first.requests)


def test_a_label_that_is_weeks_late_still_finds_its_answer():
    labels = told([(60 * 24 * 45, (1, "Sports"))])

    (row,) = join(labels, [answer(1, "World", "a text")]).rows

    assert (row.label, row.answer.text, row.at) == ("Sports", "a text", at(60 * 24 * 45))


def test_accuracy_is_told_per_version_and_class():
    rows = [
        Labelled(answer(1, "World"), "World", at(1)),
        Labelled(answer(2, "World"), "Sports", at(2)),
        Labelled(answer(3, "Sports"), "Sports", at(3)),
        Labelled(answer(4, "Sports", version="v2"), "Sports", at(4)),
    ]

    found = accuracy(Joined(rows, unknown=3), at(0), at(9))

    first, second = found.versions
    assert (first.version, first.labelled, first.right) == ("v1", 3, 2)
    assert first.interval == wilson(2, 3)
    assert first.classes == {"Sports": OfClass(2, 1), "World": OfClass(1, 1)}
    assert found.of("digest of v2") == second
    assert found.of("another") is None
    assert (second.accuracy, found.unknown) == (1.0, 3)


@pytest.mark.parametrize(
    ("right", "labelled", "below"),
    [(0, 1, False), (0, 29, False), (0, 30, True), (25, 30, False), (60, 100, True)],
)
def test_few_labels_accuse_nobody(right, labelled, below):
    found = version_with(right, labelled)

    assert found.below(0.85) is below


@given(st.integers(0, 400), st.integers(1, 400), st.floats(0.5, 0.95))
def test_what_is_below_has_its_whole_interval_below(right, labelled, threshold):
    found = version_with(min(right, labelled), labelled)

    if found.below(threshold):
        assert found.interval[1] < threshold
        assert labelled >= MINIMUM


def test_a_version_at_the_threshold_is_seldom_accused_however_often_one_looks():
    drawn = np.random.default_rng(7).random((100, 400)) < 0.85
    rights = drawn.cumsum(axis=1)

    accused = sum(
        any(version_with(int(rights[at, n - 1]), n).below(0.85) for n in range(30, 401, 5))
        for at in range(100)
    )

    assert accused <= 8  # 5 % are allowed, and 100 draws


@given(st.floats(0.5, 0.95), st.floats(0.03, 0.1))
def test_as_many_labels_as_are_needed_show_the_gap(threshold, gap):
    needed = labels_needed(threshold, gap)

    assert wilson((threshold - gap) * needed, needed)[1] < threshold


def test_a_judgement_says_why_not_and_how_many_labels_would_do():
    assert judged(None, 0.85) == (
        False,
        "no answer was labelled; about 196 labels would show an accuracy 5 points below 85.0%",
    )
    below, why = judged(version_with(20, 26), 0.85)
    assert not below
    assert "76.9% of 26 labelled answers of version v1 are right" in why
    assert "about 196 labels" in why
    below, why = judged(version_with(120, 200), 0.85)
    assert below
    assert why.endswith("(95 % interval 53.1% to 66.5%): below 85.0%")
    below, why = judged(version_with(190, 200), 0.85)
    assert (below, "labels would" in why) == (False, False)


def test_of_two_labels_of_one_text_the_last_counts():
    rows = [
        Labelled(answer(1, text="same "), "World", at(1)),
        Labelled(answer(2, text="other"), "World", at(2)),
        Labelled(answer(3, text="same"), "Sports", at(3)),
    ]

    assert [(row.answer.text, row.label) for row in last_of_each_text(rows)] == [
        ("same", "Sports"),
        ("other", "World"),
    ]
