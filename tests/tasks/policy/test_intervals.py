import numpy as np
import pytest

from tasks.policy.intervals import macro_f1, told, wilson


@pytest.mark.parametrize(
    ("right", "rows", "low", "high"),
    # From R: binom::binom.wilson(c(9, 90, 0), c(10, 100, 20))
    [(9, 10, 0.596, 0.982), (90, 100, 0.826, 0.945), (0, 20, 0.0, 0.161), (0, 0, 0.0, 1.0)],
)
def test_wilson_is_that_of_the_books(right, rows, low, high):
    assert wilson(right, rows) == pytest.approx((low, high), abs=0.001)


def test_the_interval_of_macro_f1_holds_the_value_and_narrows_with_rows():
    matrix = np.array([[80, 20], [10, 90]])

    low, high = macro_f1(matrix.tolist())
    narrow = macro_f1((matrix * 16).tolist())

    assert low < 0.850 < high
    assert (high - low) / (narrow[1] - narrow[0]) == pytest.approx(4, rel=0.15)
    assert macro_f1(matrix.tolist()) == (low, high)


def test_classes_that_are_nowhere_do_not_count():
    assert macro_f1([[50, 0, 0], [0, 50, 0], [0, 0, 0]]) == (1.0, 1.0)


def test_an_interval_is_told_behind_its_value():
    assert told(0.9, (0.85, 0.951)) == "0.900 (0.850 to 0.951)"
