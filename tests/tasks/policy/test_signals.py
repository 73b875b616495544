from dataclasses import replace

import numpy as np
import pytest

from tasks.policy.signals import Features, joined


def made(count, texts=True, first=0):
    numbers = np.arange(first, first + count, dtype=float)
    return Features(
        names=("a", "b"),
        labels=(numbers % 2).astype(np.int64),
        confidence=numbers,
        probabilities=np.stack([numbers, -numbers], axis=1),
        numeric={"characters": numbers},
        vectors=np.stack([numbers] * 3, axis=1).astype(np.float32) if texts else None,
        excerpts=tuple(map(str, numbers)) if texts else (),
        terms={"w": count},
        ids=tuple(map(str, numbers)),
        total=count,
    )


def test_parts_join_in_their_order():
    found = joined([made(3), made(2, first=3)])

    assert found.confidence.tolist() == [0, 1, 2, 3, 4]
    assert (found.terms, found.total, found.excerpts) == ({"w": 5}, 5, made(5).excerpts)


@pytest.mark.parametrize("other", [made(2, texts=False), replace(made(2), names=("b", "a"))])
def test_parts_of_different_kinds_do_not_join(other):
    with pytest.raises(ValueError, match="different"):
        joined([made(2), other])


@pytest.mark.parametrize("rows", [np.array([4, 1, 1]), np.array([False, True, False, False, True])])
def test_rows_are_taken_from_every_column(rows):
    found = made(5).take(rows)

    wanted = np.arange(5)[rows].tolist()
    assert found.confidence.tolist() == found.vectors[:, 0].tolist() == wanted
    assert [float(one) for one in found.ids] == [float(one) for one in found.excerpts] == wanted


def test_margin_is_that_of_a_sample_from_so_many():
    sample = made(1000)

    assert sample.margin == 0
    assert replace(sample, total=10**9).margin == pytest.approx(0.031, abs=1e-4)
    assert replace(sample, total=1100).margin < 0.01
