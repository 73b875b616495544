"""What counts as drift, as none, as too little to say, and as a broken monitor."""

from dataclasses import replace

import numpy as np
import pytest
from plugins.windows import about, moved, rows

from tasks.drift_policy import Drift
from tasks.drift_records import DriftOutcome
from tasks.policy import drift
from tasks.policy.drift import decide

REFERENCE = rows(800, seed=1)
POLICY = Drift(minimum_rows=50)


def outcome(window, policy=POLICY, **more):
    return decide(REFERENCE, window, policy, about(), **more).outcome


def test_rows_of_the_same_kind_are_no_drift():
    found = decide(REFERENCE, rows(300, seed=2), POLICY, about())

    assert found.outcome == DriftOutcome.OK
    assert (found.severity, found.classes_moved) == ("none", ())
    assert found.score < 0.03
    assert "strongest of" in found.reasons[0]


def test_a_class_twice_as_frequent_is_drift_and_named():
    found = decide(REFERENCE, rows(300, seed=2, shares=(0.2, 0.6, 0.2)), POLICY, about())

    assert found.outcome == DriftOutcome.DETECTED
    assert found.signals[0].corrected_p < 0.002
    assert "predicted label: effect 0.3" in found.reasons[0]
    assert found.classes_moved[0].label == "Sports"
    assert found.classes_moved[0].window > found.classes_moved[0].reference + 0.2


def test_texts_from_elsewhere_are_drift_though_the_answers_are_the_same():
    found = decide(REFERENCE, moved(rows(300, seed=2), 0.5), POLICY, about())

    assert found.outcome == DriftOutcome.DETECTED
    assert found.signals[0].name == drift.VECTORS
    assert found.severity == "high"


def test_the_same_rows_give_the_same_verdict():
    window = rows(100, seed=3)

    assert decide(REFERENCE, window, POLICY, about()) == decide(REFERENCE, window, POLICY, about())


def test_a_difference_too_small_to_matter_is_none_however_certain():
    lenient = Drift(minimum_rows=50, threshold=0.9)

    assert outcome(rows(300, seed=2, shares=(0.2, 0.6, 0.2)), lenient) == DriftOutcome.OK


def test_the_limits_of_the_reference_systems_can_be_set():
    usual = Drift(minimum_rows=50, threshold=0.3, p=0.05, suspected_p=0.05)

    assert outcome(rows(300, seed=2, shares=(0.2, 0.6, 0.2)), usual) == DriftOutcome.OK
    assert outcome(moved(rows(300, seed=2), 0.5), usual) == DriftOutcome.DETECTED


def test_suspected_twice_in_a_row_by_different_answers_is_detected():
    doubtful = Drift(minimum_rows=50, p=1e-12, suspected_p=0.01)
    window = moved(rows(300, seed=2), 0.5)

    first = decide(REFERENCE, window, doubtful, about(0))
    again = decide(REFERENCE, window, doubtful, about(1), [first])
    overlapping = replace(about(1), since=about(0).since)

    assert first.outcome == DriftOutcome.SUSPECTED
    assert again.outcome == DriftOutcome.DETECTED
    assert "suspected before" in again.reasons[0]
    assert decide(REFERENCE, window, doubtful, overlapping, [first]).outcome == "SUSPECTED"
    assert decide(REFERENCE, window, doubtful, about(1, "4"), [first]).outcome == "SUSPECTED"


def test_a_good_check_ends_a_suspicion():
    doubtful = Drift(minimum_rows=50, p=1e-12, suspected_p=0.01)
    window = moved(rows(300, seed=2), 0.5)
    first = decide(REFERENCE, window, doubtful, about(0))
    good = decide(REFERENCE, rows(300, seed=2), doubtful, about(1))

    assert decide(REFERENCE, window, doubtful, about(2), [first, good]).outcome == "SUSPECTED"


def test_too_few_different_texts_are_no_data():
    few = rows(40, seed=2)
    copies = few.take(np.tile(np.arange(40), 30))

    assert outcome(few) == DriftOutcome.NO_DATA
    found = decide(REFERENCE, copies, POLICY, about())

    assert found.outcome == DriftOutcome.NO_DATA
    assert found.reasons == ("40 different texts in 1200 rows, minimum_rows is 50",)


def test_a_client_that_repeats_itself_has_not_changed_its_language():
    window = rows(300, seed=2)
    told = window.take(np.concatenate([np.arange(300), np.tile(np.arange(3), 200)]))

    found = decide(REFERENCE, told, POLICY, about())

    assert (found.outcome, found.rows, found.different) == (DriftOutcome.OK, 900, 300)
    assert "67% of 900 rows repeat a text; each text counts once" in found.reasons


def without(name):
    window = rows(100, seed=2)
    return replace(window, numeric={k: v for k, v in window.numeric.items() if k != name})


@pytest.mark.parametrize(
    ("window", "reason"),
    [
        (without("truncated"), "only the reference has the column truncated"),
        (replace(rows(100, 2), vectors=None), "only the reference has texts"),
        (replace(rows(100, 2), names=("a", "b", "c")), "the labels are"),
        (replace(rows(100, 2), vectors=np.zeros((100, 8))), "sentence vectors have 16 numbers"),
        (replace(rows(100, 2), confidence=np.full(100, np.nan)), "100 of 100 values of the answer"),
        (replace(rows(100, 2), confidence=np.ones(99)), "holds 99 of 100 rows"),
        (replace(rows(100, 2), labels=np.full(100, 3)), "labels number 3 to 3 of 3"),
        (replace(rows(100, 2), probabilities=np.ones((100, 2))), "(100, 2) probabilities"),
    ],
)
def test_what_cannot_be_compared_is_a_broken_monitor_and_never_no_drift(window, reason):
    found = decide(REFERENCE, window, POLICY, about())

    assert found.outcome == DriftOutcome.ERROR
    assert any(reason in one for one in found.reasons), found.reasons
    assert found.advice == "ignore"


def test_a_reference_of_a_few_rows_is_a_broken_monitor():
    found = decide(rows(20, 1), rows(300, 2), POLICY, about())

    assert found.outcome == DriftOutcome.ERROR
    assert found.reasons == ("reference: 20 different texts, minimum_rows of [drift] is 50",)


def test_columns_that_never_vary_tell_nothing_and_that_is_said():
    dumb = replace(
        rows(100, 2),
        numeric={"characters": np.ones(100)},
        labels=np.zeros(100, int),
        probabilities=np.ones((100, 3)),
        vectors=None,
    )

    found = decide(dumb, dumb, POLICY, about())

    assert found.outcome == DriftOutcome.ERROR
    assert "nothing can be compared" in found.reasons[0]
