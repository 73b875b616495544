"""Rows are put into batches so that little is computed on padding and none is lost."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.batches import grouped, rounded

BUDGET = 512


def computed(lengths, batches):
    """Tokens that an engine computes, padding counted."""
    return sum(len(batch) * rounded(max(lengths[row] for row in batch)) for batch in batches)


@given(st.lists(st.integers(0, 700), max_size=80), st.sampled_from([16, 512, 4096]))
def test_every_row_is_in_one_batch_and_no_batch_is_over_the_budget(lengths, budget):
    batches = grouped(lengths, budget)

    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or computed(lengths, [batch]) <= budget for batch in batches)


def test_a_batch_of_mixed_texts_costs_little_padding():
    lengths = [random.Random(row).randint(10, 120) for row in range(32)]

    batches = grouped(lengths, BUDGET)

    assert computed(lengths, batches) < 1.25 * sum(lengths)
    assert computed(lengths, [list(range(32))]) > 1.6 * sum(lengths)


@pytest.mark.parametrize(
    ("lengths", "batches"),
    [
        ([5], [[0]]),
        ([5, 100, 6], [[0, 2], [1]]),  # two short rows as wide as the long one cost more
        ([33, 49], [[0, 1]]),  # a little padding costs less than another batch
        ([16] * 40, [[*range(8)], [*range(8, 40)]]),
        ([600, 600], [[0], [1]]),
    ],
)
def test_batches_are_cut_where_it_costs_least(lengths, batches):
    assert grouped(lengths, BUDGET) == batches
