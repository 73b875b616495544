from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.policy.sequential import TIMES, p_above, p_worse

COUNTS = st.integers(0, 10**9)


def test_it_is_the_likelihood_of_larger_odds_over_that_of_the_share():
    hits, trials, share = 30, 400, 0.04

    larger = [times * share / (1 - share + times * share) for times in TIMES]
    likelihoods = [one**hits * (1 - one) ** (trials - hits) for one in larger]
    ratio = sum(likelihoods) / len(TIMES) / (share**hits * (1 - share) ** (trials - hits))

    assert float(p_above(hits, trials, share)) == pytest.approx(1 / ratio)


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ((0, 0), (0, 0)),
        ((0, 0), (3, 900)),
        ((0, 100), (0, 900)),
        ((100, 100), (900, 900)),
        ((0, 100), (900, 900)),
        ((7, 100), (0, 0)),
    ],
)
def test_nothing_is_shown_where_there_is_nothing_to_compare_or_no_harm(new, old):
    assert p_worse(*new, *old) == 1


def test_few_requests_show_a_version_that_is_wholly_broken_and_no_more():
    assert p_worse(1, 1, 0, 9) > 0.2
    assert p_worse(6, 6, 0, 54) < 0.001
    assert p_above(6, 6, 0.01) < 0.001
    assert p_above(1, 100, 0.01) > 0.2


def test_unequal_sides_are_judged_by_their_share_of_the_requests():
    assert p_worse(20, 1_000, 180, 9_000) == 1
    assert p_worse(60, 1_000, 180, 9_000) < 1e-6
    assert p_worse(180, 9_000, 60, 1_000) == 1


def test_many_questions_are_answered_at_once():
    hits, trials = np.array([[0, 5], [20, 60]]), np.array([[100, 100], [400, 400]])

    found = p_above(hits, trials, 0.02)

    assert found.shape == (2, 2)
    assert found[1, 0] == p_above(20, 400, 0.02)


@given(COUNTS, COUNTS, st.floats(0, 1))
def test_any_counts_give_a_p_value_that_falls_with_each_hit(hits, more, share):
    fewer, value = p_above([max(hits - 1, 0), hits], hits + more, share)

    assert 0 <= value <= fewer <= 1


@settings(max_examples=15)
@given(st.integers(1, 60), st.sampled_from([0.001, 0.02, 0.1, 0.5, 0.9]))
def test_what_is_bet_at_the_share_is_not_won_on_average(trials, share):
    hits = np.arange(trials + 1)
    chances = [comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in hits.tolist()]
    values = p_above(hits, trials, share)

    assert sum(chance / p for chance, p in zip(chances, values, strict=True) if p < 1) <= 1 + 1e-9


@pytest.mark.parametrize("share", [0.001, 0.02, 0.5])
def test_looking_after_each_of_a_thousand_trials_errs_in_less_than_alpha(share):
    alpha, crossed = 0.05, 0.0
    chances = np.array([1.0])
    for trial in range(1, 1001):
        chances = np.append(chances, 0) * (1 - share) + np.insert(chances, 0, 0) * share
        beyond = p_above(np.arange(trial + 1), trial, share) <= alpha
        crossed += chances[beyond].sum()
        chances[beyond] = 0

    assert crossed <= alpha
