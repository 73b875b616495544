import numpy as np
import pytest

from tasks.policy.canary import Limits
from tasks.policy.heard import Both, Heard, Logged, counted, judge
from tasks.records import Outcome

LIMITS = Limits()
NAMES = ("Business", "Sports", "World")


def both(new, old, unsure=(0, 0)):
    said = [dict(zip(NAMES, one, strict=True)) for one in (new, old)]
    return Both(Heard(said[0], unsure[0]), Heard(said[1], unsure[1]), 2 / 3, until_ms=1)


def logged(*rows):
    """Rows of (milliseconds, new, label, confidence, text)."""
    at, new, labels, confidences, texts = zip(*rows, strict=True) if rows else ((),) * 5
    return Logged(
        np.array(at, np.int64),
        np.array(new, np.bool_),
        np.array(labels, np.object_),
        np.array(confidences, np.float64),
        np.array(texts, np.uint64),
    )


def test_answers_that_differ_a_little_pass_with_their_shares():
    found = judge(both((100, 110, 90), (900, 900, 900), (12, 90)), LIMITS)

    assert found.outcome is Outcome.PASS
    assert found.reasons == (
        "answers to callers, Sports: 36.7 % of 300 against 33.3 % of 2,700:"
        " not shown moved by more than 40 %",
        "answers to callers, confidence under 0.67: 4.0 % of 300 against 3.3 % of 2,700:"
        " not shown moved by more than 40 %",
    )
    assert found.numbers["new_unsure_share"] == 0.04


def test_one_label_for_everything_fails_in_words():
    found = judge(both((0, 0, 60), (180, 180, 180)), LIMITS)

    assert found.outcome is Outcome.FAIL
    assert found.reasons == (
        "answers to callers, World: 100.0 % of 60 against 33.3 % of 540:"
        " moved by more than 40 % beyond doubt (alpha 0.05)",
    )


def test_a_label_that_nearly_vanishes_fails_also_where_no_other_gets_all_of_it():
    found = judge(both((0, 200, 200), (2_000, 1_000, 1_000)), LIMITS)

    assert found.outcome is Outcome.FAIL
    assert found.reasons[0].startswith("answers to callers, Business: 0.0 % of 400 against 50.0 %")


def test_unsure_answers_fail_where_they_became_more_and_not_where_fewer():
    even = (300, 300, 300)

    assert judge(both(even, even, (800, 90)), LIMITS).outcome is Outcome.FAIL
    assert judge(both(even, even, (90, 800)), LIMITS).outcome is Outcome.PASS


def test_how_much_is_allowed_is_a_limit():
    moved = both((0, 0, 300), (100, 100, 100))

    assert judge(moved, LIMITS).outcome is Outcome.FAIL
    assert judge(moved, Limits(max_answer_shift=0.7)).outcome is Outcome.PASS
    assert judge(moved, Limits(max_answer_shift=1)).outcome is Outcome.PASS


@pytest.mark.parametrize(("new", "old"), [((0, 0, 0), (0, 0, 0)), ((1, 1, 2), (300, 300, 300))])
def test_few_answers_are_no_opinion(new, old):
    found = judge(both(new, old), LIMITS)

    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.reasons == (
        f"answers to callers: {sum(new)} and {sum(old)} of at least 200 texts in the log,"
        " no opinion",
    )


def test_each_text_counts_once_where_it_came_first_and_both_have_the_same_minutes():
    found = counted(
        logged(
            (40, True, "World", 0.9, 5),  # the old version's log does not go so far
            (30, False, "World", 0.6, 4),
            (20, False, "Sports", 0.9, 1),  # asked before, and answered by the new version
            (10, True, "World", 0.9, 1),
            (10, True, "Business", 0.5, 2),
            (15, False, "Sports", 0.7, 3),
            (16, False, "Sports", 0.7, 3),
        ),
        ("Sports", "World"),
    )

    assert found.new == Heard({"Business": 1, "Sports": 0, "World": 1}, 1)
    assert found.old == Heard({"Business": 0, "Sports": 1, "World": 1}, 1)
    assert (found.until_ms, found.unsure_below) == (30, pytest.approx(2 / 3))


def test_a_log_without_rows_is_nothing_heard():
    found = counted(logged(), NAMES)

    assert (found.new, found.old, found.until_ms) == (
        *(Heard(dict.fromkeys(NAMES, 0), 0),) * 2,
        None,
    )
    assert counted(logged((5, False, "World", 0.9, 1)), NAMES).old.answers == 1
