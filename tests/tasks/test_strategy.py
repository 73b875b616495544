"""The steps of each strategy, and plans that cannot be."""

import pytest
from pydantic import ValidationError

from tasks.strategy import AT_ONCE, Rollout


def shares(plan):
    return [step.percent for step in plan.watched]


def test_the_default_is_a_tenth_for_half_an_hour_then_half_for_an_hour():
    plan = Rollout()

    assert [(step.percent, step.minutes) for step in plan.watched] == [(10, 30), (50, 60)]
    assert (plan.bake.percent, plan.max_error_rate, plan.max_p99_ms) == (100, 0.01, 500)
    assert plan.max_answer_shift == 0.4


def test_linear_is_its_first_step_again_and_again():
    plan = Rollout(strategy="linear", steps=[{"percent": 30, "minutes": 5}])

    assert shares(plan) == [30, 60, 90]
    assert {step.minutes for step in plan.watched} == {5}


def test_blue_green_is_watched_only_when_all_callers_have_it():
    plan = Rollout(strategy="blue-green", bake_minutes=7)

    assert (shares(plan), plan.bake.minutes) == ([], 7)


def test_all_at_once_is_not_watched():
    assert (AT_ONCE.watched, AT_ONCE.bake) == ((), None)


@pytest.mark.parametrize("percents", [(50, 10), (10, 10), (10, 100)])
def test_steps_that_do_not_grow_below_all_are_refused(percents):
    steps = [{"percent": percent, "minutes": 1} for percent in percents]

    with pytest.raises(ValidationError, match="must grow and stay below 100"):
        Rollout(steps=steps)
