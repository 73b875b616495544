"""How often the gate promotes what, over simulated test splits: `python -m bench.gates`."""

import pytest

from bench.gates import LESS, LONG_TAIL, ONE_CLASS, SAME, Case, promoted
from tasks.records import Outcome

# The standard error needs fewer draws than a verdict takes; 400 of them make it 4 % inexact.
DRAWS = 400


def rate(case: Case, trials: int = 400, seed: int = 11) -> float:
    return promoted(case, trials, seed, DRAWS)[Outcome.PASS]


@pytest.mark.parametrize(
    ("case", "trials"),
    [
        (Case("few disagreements", "better", SAME, disagree=0.02), 400),
        (Case("many disagreements", "better", SAME), 400),
        (Case("few rows", "better", SAME, rows=400), 400),
        (Case("", "better", (0.0,) * 9, 600, 0.2, "macro_f1", LONG_TAIL[:9], 0.5), 100),
    ],
)
def test_an_equal_model_is_promoted_at_most_one_time_in_twenty(case, trials):
    assert rate(case, trials) <= 0.05


@pytest.mark.parametrize(
    "case",
    [
        Case("one disagreement in a hundred rows", "not-worse", LESS, disagree=0.01),
        Case("many disagreements", "not-worse", LESS),
        Case("few rows", "not-worse", LESS, rows=400, disagree=0.02),
        Case("macro-F1", "not-worse", LESS, rows=800, metric="macro_f1"),
    ],
)
def test_a_model_worse_by_the_margin_is_promoted_at_most_one_time_in_twenty(case):
    assert rate(case, trials=250) <= 0.05


@pytest.mark.parametrize("rule", ["better", "not-worse"])
def test_two_points_lost_on_a_class_with_enough_rows_are_refused_though_the_rest_gains(rule):
    assert rate(Case("", rule, ONE_CLASS, rows=12_000, disagree=0.05), trials=120) <= 0.05


def test_a_model_that_is_three_points_better_is_promoted_nearly_always():
    assert rate(Case("", "better", (0.03,) * 4), trials=200) >= 0.95


def test_an_equal_model_is_let_through_where_it_need_not_be_better():
    assert rate(Case("", "not-worse", SAME, disagree=0.02), trials=200) >= 0.8


def test_an_equal_model_is_not_held_up_by_its_classes_where_they_have_enough_rows():
    case = Case("", "not-worse", SAME, rows=16_000, disagree=0.05)

    assert rate(case, trials=100) >= 0.95
