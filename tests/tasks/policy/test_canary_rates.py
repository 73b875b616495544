"""How often rollouts are taken back, simulated: `python -m bench.rollouts`."""

import numpy as np
import pytest

from bench.rollout_cases import EQUAL, EVEN, LESS, OTHER, SAME, WORSE, Case, Heard
from bench.rollouts import Seen, answers, beyond_doubt, heard, rollouts
from tasks.policy.canary import Limits, judge
from tasks.records import Arm, Outcome


def taken_back(found):
    return (found >= 0).mean()


@pytest.mark.parametrize("case", EQUAL, ids=lambda case: case.name)
def test_equal_versions_are_taken_back_at_most_one_time_in_twenty(case: Case):
    count = 60 if case.steps[0].requests == 1 else 200

    assert taken_back(rollouts(case, count, seed=3)["perennial"]) <= 0.05


@pytest.mark.parametrize("case", WORSE, ids=lambda case: case.name)
def test_worse_versions_are_taken_back_nearly_always(case: Case):
    assert taken_back(rollouts(case, 400, seed=3)["perennial"]) >= 0.95


def test_answers_are_taken_back_where_they_are_worse():
    assert taken_back(answers(EVEN, 400, seed=3)["perennial"]) <= 0.05
    for case in LESS:
        assert taken_back(answers(case, 400, seed=3)["perennial"]) >= 0.95


@pytest.mark.parametrize("case", SAME, ids=lambda case: case.name)
def test_answers_that_differ_by_no_more_than_is_allowed_are_let_pass(case: Heard):
    assert taken_back(heard(case, 200, seed=3)["perennial"]) <= 0.05


@pytest.mark.parametrize("case", OTHER, ids=lambda case: case.name)
def test_another_language_is_taken_back_nearly_always(case: Heard):
    assert taken_back(heard(case, 400, seed=3)["perennial"]) >= 0.95


def test_a_peeking_z_test_takes_equal_versions_back_far_more_often():
    case = next(one for one in EQUAL if one.name == "2 % both, 1:1")

    assert taken_back(rollouts(case, 400, seed=3)["z, peeking"]) > 0.15


def test_the_simulated_rule_is_the_one_that_judges():
    chance = np.random.default_rng(3)
    new, old = chance.integers(200, 2_000, 300), chance.integers(200, 9_000, 300)
    rates = chance.choice([0.002, 0.01, 0.03, 0.2], (2, 300))
    seen = Seen(chance.binomial(new, rates[0]), new, chance.binomial(old, rates[1]), old)
    limits = Limits()

    simulated = beyond_doubt(seen, limits.max_error_rate, limits.level)
    judged = [
        judge(Arm("8", n, k, 0, 1, 1, 1), Arm("7", m, j, 0, 1, 1, 1), limits).outcome
        for k, n, j, m in zip(seen.new_bad, seen.new, seen.old_bad, seen.old, strict=True)
    ]

    assert [one is Outcome.FAIL for one in judged] == simulated.tolist()
    assert 50 < simulated.sum() < 250
