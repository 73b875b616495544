"""Words that the window has and the reference has not, or much less often."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log, sqrt

_PRIOR_ROWS = 500  # how many rows the prior weighs on either side


@dataclass(frozen=True, slots=True)
class Term:
    """A word, how many rows of window and reference have it, and how sure its rise is."""

    word: str
    rows: int
    reference_rows: int
    z: float


def new_terms(
    reference: Mapping[str, int],
    window: Mapping[str, int],
    *,
    reference_total: int,
    total: int,
    least_rows: int = 5,
    least_z: float = 3.0,
    most: int = 20,
) -> tuple[Term, ...]:
    """The words whose log-odds rose the most surely, the surest first.

    Counts are rows that have the word, of `reference_total` and `total` rows. The prior is the
    word's share in both together: Monroe, Colaresi and Quinn, Fightin' Words, Political Analysis
    16 (2008), equations 16, 20 and 22.
    """
    found = []
    for word, rows in window.items():
        if rows < least_rows:
            continue
        before = reference.get(word, 0)
        prior = _PRIOR_ROWS * (rows + before) / (total + reference_total)
        now, then = rows + prior, before + prior
        rise = _log_odds(now, total) - _log_odds(then, reference_total)
        if (z := rise / sqrt(1 / now + 1 / then)) >= least_z:
            found.append(Term(word, rows, before, round(z, 3)))
    return tuple(sorted(found, key=lambda term: (-term.z, term.word))[:most])


def _log_odds(rows: float, total: int) -> float:
    return log(rows / max(total + _PRIOR_ROWS - rows, 0.5))
