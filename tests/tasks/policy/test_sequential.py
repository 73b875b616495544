from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.policy.sequential import TIMES, p_above, p_beyond, p_worse

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


def test_it_is_the_mixed_likelihood_over_the_best_one_within_the_bound():
    new, old, bound = (27, 30), (60, 200), 0.25

    def likelihood(side, share):
        return side[0] * np.log(share) + (side[1] - side[0]) * np.log(1 - share)

    shares = np.linspace(1e-6, 1 - 1e-6, 200_001)
    heights = shares**-0.5 * (1 - shares) ** -0.5 / np.pi
    mixed = [
        np.trapezoid(np.exp(likelihood(side, shares)) * heights, shares) for side in (new, old)
    ]
    olds = shares[shares < 1 - bound - 1e-6]
    best = np.exp(likelihood(new, olds + bound) + likelihood(old, olds)).max()

    assert float(p_beyond(*new, *old, bound)) == pytest.approx(best / np.prod(mixed), rel=1e-3)


@given(st.lists(st.integers(0, 10**6), min_size=4, max_size=4), st.floats(0.01, 1))
def test_shares_that_are_not_seen_beyond_the_bound_are_not_shown_beyond_it(counts, bound):
    hits, misses, old_hits, old_misses = counts
    new, old = (hits, hits + misses), (old_hits, old_hits + old_misses)

    value = float(p_beyond(*new, *old, bound))

    assert 0 <= value <= 1
    apart = hits / max(new[1], 1) - old_hits / max(old[1], 1)
    assert value == 1 or (apart > bound and min(new[1], old[1]) > 0)


def test_a_larger_bound_and_fewer_trials_show_less():
    values = [p_beyond(90, 100, 200, 1_000, bound) for bound in (0.1, 0.25, 0.4, 0.69)]

    assert values == sorted(values)
    assert p_beyond(9, 10, 20, 100, 0.25) > 0.01
    assert p_beyond(90, 100, 200, 1_000, 0.25) < 1e-9


@pytest.mark.parametrize("part", [0.1, 0.5])
def test_versions_as_far_apart_as_is_allowed_are_seldom_found_beyond_it(part):
    chance = np.random.default_rng(5)
    sides = chance.binomial(20, part, (2000, 100))
    new, old = sides, 20 - sides
    counts = chance.binomial(new, 0.45), new, chance.binomial(old, 0.2), old

    values = p_beyond(*(one.cumsum(axis=1) for one in counts), 0.25)

    assert (values <= 0.05).any(axis=1).mean() <= 0.05
