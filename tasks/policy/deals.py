"""Rows dealt again at random into two samples of the same sizes (Pitman, 1937)."""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32] | NDArray[np.float64]
Marks = NDArray[np.bool_]

_MOST = 10  # times the smaller sample; what a larger one adds to the certainty is under 5 %
_AT_ONCE = 4_000_000  # marks as numbers in memory


def both(reference: Matrix, window: Matrix, chance: np.random.Generator) -> tuple[Matrix, Marks]:
    """The rows of both, and which are the window's; of each at most ten times the other's."""
    old, new = _at_most(reference, window, chance), _at_most(window, reference, chance)
    rows = np.concatenate([old, new])
    return rows, np.arange(len(rows)) >= len(old)


def _at_most(rows: Matrix, other: Matrix, chance: np.random.Generator) -> Matrix:
    most = _MOST * len(other)
    return rows if len(rows) <= most else rows[chance.choice(len(rows), most, replace=False)]


def marks(is_new: Marks, times: int, chance: np.random.Generator) -> Marks:
    """Which rows are the window's: as it is, then so often by chance."""
    found = np.tile(is_new, (1 + times, 1))
    found[1:] = chance.permuted(found[1:], axis=1)
    return found


def sums(marked: Marks, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of the marked rows, a row of sums for each deal."""
    step = max(1, _AT_ONCE // marked.shape[1])
    parts = [marked[at : at + step].astype(np.float32) @ rows for at in range(0, len(marked), step)]
    return np.concatenate(parts)
