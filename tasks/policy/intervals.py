"""How exactly a number is known that was measured on a few test rows."""

from collections.abc import Sequence
from math import sqrt

import numpy as np

from tasks.policy import comparison
from tasks.policy.comparison import Z

Interval = tuple[float, float]

_RESAMPLES = 1000


def wilson(right: float, rows: int) -> Interval:
    """The 95 % interval of a share; all of 0 to 1 when there are no rows."""
    if not rows:
        return 0.0, 1.0
    share, z2 = right / rows, Z**2
    middle = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    spread = Z * sqrt(share * (1 - share) / rows + z2 / (4 * rows**2)) / (1 + z2 / rows)
    return max(0.0, middle - spread), min(1.0, middle + spread)


def macro_f1(confusion: Sequence[Sequence[int]]) -> Interval:
    """The 95 % bootstrap interval; resampling rows is drawing the cells of the matrix anew."""
    cells = np.asarray(confusion, dtype=float)
    rows, size = int(cells.sum()), len(cells)
    drawn = np.random.default_rng(0).multinomial(rows, cells.ravel() / rows, _RESAMPLES)
    drawn = drawn.reshape(-1, size, size)
    hits = np.diagonal(drawn, axis1=1, axis2=2)
    found = comparison.macro_f1(drawn.sum(axis=2), hits, drawn.sum(axis=1))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def told(value: float, interval: Interval) -> str:
    """`0.912 (0.899 to 0.924)`"""
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"
