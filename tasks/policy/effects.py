"""How unlike two samples are, and what chance alone does to samples of these sizes.

All rows are put together and dealt again at random into two samples of the same sizes: whatever
the rows are, this is how the effect falls when both came from one source (Pitman, 1937). So the
reference counts as the sample that it is. Counts of at most 64 bins are dealt by drawing from the
multivariate hypergeometric distribution, which costs the same for a hundred rows as for millions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Measure = Callable[[Floats], Floats]

# How often the rows are dealt again: more only where the few leave doubt (Besag, Clifford 1991).
DEALT = (99, 999)
_REACHED = 10
_BINS = 64
BAND = 0.95
_TAIL = 0.9
_SURE = 1e-9  # no smaller p-value is told


@dataclass(frozen=True, slots=True)
class Effect:
    """`size` is 0 (alike) to 1 (nothing in common); chance stays below `band` in 95 % of cases."""

    size: float
    band: float
    p: float


NONE = Effect(0.0, 0.0, 1.0)


def of_categories(reference: Numbers, window: Numbers, chance: np.random.Generator) -> Effect:
    """Total variation: the share of rows that would have to change category. Takes row counts."""
    return _dealt(reference, window, chance, lambda gap: np.abs(gap).sum(axis=-1) / 2)


def of_values(reference: Floats, window: Floats, chance: np.random.Generator) -> Effect:
    """The two-sample Kolmogorov-Smirnov statistic at 64 quantiles of all; ties are no trouble."""
    inner = np.linspace(0, 1, _BINS + 1)[1:-1]
    edges = np.unique(np.quantile(np.concatenate([reference, window]), inner))
    old, new = (
        np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
        for values in (reference, window)
    )
    return _dealt(old, new, chance, lambda gap: np.abs(np.cumsum(gap, axis=-1)).max(axis=-1))


def holm(ps: Sequence[float], weights: Sequence[float] | None = None) -> list[float]:
    """Holm's (1979) corrected p-values, in the order given; of twice the weight, half the price."""
    shares = weights or [1.0] * len(ps)
    corrected, largest, left = [0.0] * len(ps), 0.0, sum(shares)
    for at in sorted(range(len(ps)), key=lambda at: ps[at] / shares[at]):
        largest = max(largest, min(1.0, ps[at] * left / shares[at]))
        corrected[at] = largest
        left -= shares[at]
    return corrected


def _dealt(reference: Numbers, window: Numbers, chance: np.random.Generator, of: Measure) -> Effect:
    both = reference + window
    if np.count_nonzero(both) < 2:
        return NONE
    sizes = int(reference.sum()), int(window.sum())
    few = min(sizes)
    own = reference if sizes[0] == few else window

    def deal(times: int) -> Floats:
        drawn = chance.multivariate_hypergeometric(both, few, size=times, method="marginals")
        smaller = np.vstack([own, drawn])
        return of(smaller / few - (both - smaller) / max(sizes))

    found = until_settled(deal)
    band = float(np.quantile(found[1:], BAND))
    return Effect(float(found[0]), band, p_value(np.square(found)))


def until_settled(deal: Callable[[int], Floats]) -> Floats:
    """What `deal` finds as it is and in so many deals: few, or many where the few leave doubt."""
    few, many = DEALT
    found = deal(few)
    return found if _settled(found) else deal(many)


def _settled(found: Floats) -> bool:
    """Whether so many deals (all but the first number) reach the first that more say nothing."""
    return int(np.count_nonzero(found[1:] >= found[0])) >= _REACHED


def p_value(squares: Floats) -> float:
    """The share of deals at least as large as the first number; past their last tenth its tail.

    The squares of all three effects have a tail that is exponential or lighter (Pickands 1975;
    Knijnenburg et al. 2009 for permutations), so a thousand deals say what 1 in 100,000 is.
    """
    squared, dealt = float(squares[0]), squares[1:]
    counted = (1 + int(np.count_nonzero(dealt >= squared))) / len(squares)
    if _settled(squares):
        return counted
    start = float(np.quantile(dealt, _TAIL))
    beyond = dealt[dealt > start]
    if not len(beyond) or (scale := float(beyond.mean()) - start) <= 0:
        return counted
    tail = len(beyond) / len(dealt) * exp(-(squared - start) / scale)
    return min(counted, max(tail, _SURE))
