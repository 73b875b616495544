"""Effects and their p-values beside what scipy says of the same rows."""

import numpy as np
import pytest
from scipy import stats

from tasks.policy import domains, effects, means


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_values_agree_with_the_kolmogorov_smirnov_test():
    old, new = chance(1).normal(size=700), chance(2).normal(0.2, size=300)

    found = effects.of_values(old, new, chance())

    usual = stats.ks_2samp(old, new)
    assert found.size == pytest.approx(usual.statistic, abs=0.02)
    assert found.p == pytest.approx(usual.pvalue, rel=0.7)
    assert found.band == pytest.approx(1.36 * np.sqrt(1 / 700 + 1 / 300), abs=0.015)


def test_the_tail_goes_on_where_the_deals_end():
    old, new = chance(1).normal(size=700), chance(2).normal(0.35, size=300)

    found = effects.of_values(old, new, chance())

    usual = stats.ks_2samp(old, new).pvalue
    assert usual < 1e-4
    assert 0.01 < found.p / usual < 100


def test_ties_are_no_evidence():
    old, new = np.repeat([0.0, 1.0], [950, 50]), np.repeat([0.0, 1.0], [475, 25])

    assert effects.of_values(old, new, chance()).size == 0
    assert effects.of_values(old, np.ones(50), chance()).p < 1e-6
    assert effects.of_values(np.zeros(50), np.zeros(90), chance()) == effects.NONE


def test_categories_are_the_share_that_moved():
    found = effects.of_categories(np.array([500, 500]), np.array([100, 300]), chance())

    assert found.size == pytest.approx(0.25)
    assert found.p < 1e-6


def test_places_tell_samples_apart_and_not_where_there_is_nothing():
    cloud = chance(3).normal(size=(900, 8)).astype(np.float32)

    far = domains.of_places(cloud[:600], cloud[600:] + 1, chance())
    same = domains.of_places(cloud[:600], cloud[600:], chance())

    # Each of 8 coordinates moved by one standard deviation: D = sqrt(8).
    assert far.size == pytest.approx(2 * stats.norm.cdf(np.sqrt(8 / 2)) - 1, abs=0.03)
    assert (far.p < 1e-6, same.p > 0.05, same.size < same.band + 0.02) == (True, True, True)


def test_a_large_window_is_thinned_to_what_the_reference_can_tell():
    cloud = chance(3).normal(size=(5000, 4)).astype(np.float32)

    assert domains.of_places(cloud[:100], cloud[100:] + 1, chance()).p < 1e-6


def test_places_that_are_all_the_same_compare_nothing():
    assert domains.of_places(np.ones((50, 3)), np.ones((60, 3)), chance()) == effects.NONE


def test_p_values_are_spread_evenly_where_nothing_differs():
    ps = []
    for seed in range(60):
        rows = chance(seed).normal(size=250)
        ps.append(effects.of_values(rows[:200], rows[200:], chance()).p)

    assert stats.kstest(ps, "uniform").pvalue > 0.01


def test_holm_is_the_step_down_correction():
    assert effects.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert effects.holm([]) == []


def test_what_weighs_more_is_corrected_less():
    found = effects.holm([0.01, 0.004, 0.03], [0.5, 0.25, 0.25])

    assert found == pytest.approx([0.016, 0.016, 0.03])


def test_means_agree_with_the_t_test_of_the_column_that_differs_most():
    old, new = chance(1).normal(size=(900, 3)), chance(2).normal((0, 0.25, 0), size=(300, 3))

    found = means.p_value(old, new, chance())

    usual = 3 * stats.ttest_ind(old[:, 1], new[:, 1]).pvalue
    assert usual < 0.01
    assert 0.2 < found / usual < 5
    assert means.p_value(old[:450], old[450:], chance()) > 0.05
    assert means.p_value(np.ones((50, 2)), np.ones((60, 2)), chance()) == 1


def test_a_column_that_never_varies_hides_no_other():
    old, new = chance(1).normal(size=(200, 2)), chance(2).normal(3, size=(200, 2))
    old[:, 0] = new[:, 0] = 0.5

    assert means.p_value(old, new, chance()) < 1e-6
