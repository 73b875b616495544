"""How accurate answers are without labels, whether that hurts, and what is then advised."""

from dataclasses import replace

import numpy as np
import pytest
from plugins.windows import about, moved, rows

from tasks.drift_policy import Drift
from tasks.policy import hurting
from tasks.policy.drift import decide
from tasks.policy.feedback import VersionAccuracy
from tasks.policy.intervals import wilson

REFERENCE = rows(800, seed=1)


def feedback(right: int, labelled: int = 400) -> VersionAccuracy:
    return VersionAccuracy("3", "sha-3", labelled, right, wilson(right, labelled), {})


def judged(window, labels=None, **policy):
    return decide(REFERENCE, window, Drift(minimum_rows=50, **policy), about(), feedback=labels)


@pytest.mark.parametrize("right", [0.9, 0.75, 0.6])
def test_the_estimate_finds_what_labels_would_say(right):
    window = rows(600, seed=4, right=right)

    found = hurting.estimated(REFERENCE, window, seed=0)

    truth = float((window.labels == window.truth).mean())
    assert found.now.value == pytest.approx(truth, abs=0.05)
    assert found.now.low <= truth <= found.now.high


def test_an_overconfident_model_is_not_believed():
    boasting = rows(800, seed=1)
    boasting = replace(boasting, confidence=np.sqrt(boasting.confidence))

    found = hurting.estimated(boasting, boasting, seed=0)

    truth = float((boasting.labels == boasting.truth).mean())
    assert found.now.value == pytest.approx(truth, abs=0.01)


def test_without_drift_nothing_hurts():
    found = judged(rows(600, seed=2))

    assert (found.hurting, found.advice) == ("no", "ignore")
    assert found.accuracy.source == "confidence"
    assert "estimated from confidence, 600 rows" in found.reasons[-1]


def test_drift_that_costs_accuracy_is_retrained():
    found = judged(moved(rows(600, seed=2, right=0.65), 0.5))

    assert (found.outcome, found.hurting, found.advice) == ("DETECTED", "yes", "retrain")
    assert found.accuracy.high < found.reference_accuracy


def test_new_words_that_do_no_harm_are_not():
    found = judged(rows(600, seed=2, shares=(0.2, 0.6, 0.2)), labels=feedback(372))

    assert (found.outcome, found.hurting, found.advice) == ("DETECTED", "no", "ignore")


def test_labels_are_asked_for_where_confidence_cannot_tell():
    found = judged(moved(rows(60, seed=2, right=0.85), 0.9))

    assert (found.outcome, found.hurting, found.advice) == (
        "DETECTED",
        "unknown",
        "ask-for-labels",
    )


@pytest.mark.parametrize(
    ("right", "said"), [(240, ("yes", "retrain", "feedback")), (380, ("no", "ignore", "feedback"))]
)
def test_labels_are_believed_before_confidence(right, said):
    found = judged(rows(600, seed=2), labels=feedback(right))

    assert (found.hurting, found.advice, found.accuracy.source) == said


def test_a_few_labels_that_leave_it_open_do_not_hide_what_confidence_tells():
    found = judged(rows(600, seed=2), labels=feedback(27, labelled=31))

    assert (found.hurting, found.accuracy.source) == ("no", "confidence")


@pytest.mark.parametrize(
    ("on_drift", "advice"),
    [("retrain", "retrain"), ("when-hurting", "ignore"), ("alert", "ignore")],
)
def test_the_policy_says_what_harmless_drift_starts(on_drift, advice):
    found = judged(
        rows(600, seed=2, shares=(0.2, 0.6, 0.2)), labels=feedback(372), on_drift=on_drift
    )

    assert (found.outcome, found.hurting, found.advice) == ("DETECTED", "no", advice)


def test_a_reference_without_truth_leaves_it_open():
    found = decide(
        replace(REFERENCE, truth=None), rows(600, seed=2), Drift(minimum_rows=50), about()
    )

    assert (found.hurting, found.accuracy) == ("unknown", None)
    assert "no true labels" in found.reasons[-1]
