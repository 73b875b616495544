"""Which parts of the rows lost more than they may, and which are too small to tell.

A class has enough rows when a challenger as good as the champion would be cleared of a loss of
`margin` in 95 % of cases, all classes together. With four classes, a margin of 0.02 and answers
that differ on 5 % of the rows these are 2,205 rows of the class. It must then be shown to lose less
than the margin. A smaller class is reported and blocks only when a loss is proved, at 2.5 % shared
among the classes. Slices overlap and are cut by rules of thumb: reported, never blocking.
"""

from collections.abc import Iterable, Iterator, Mapping
from math import ceil, sqrt
from statistics import NormalDist

from tasks.policy.comparison import Change, Z
from tasks.records import Outcome
from training.formats import Slice

Reason = tuple[Outcome, str]


def judge_classes(changes: Mapping[str, Change], margin: float) -> tuple[Outcome, tuple[str, ...]]:
    """FAIL when a class is worse, INCONCLUSIVE when a class with enough rows may be."""
    against = [
        reason for name, one in changes.items() for reason in _against(name, one, margin, changes)
    ]
    found = {outcome for outcome, _ in against}
    worst = next(
        (one for one in (Outcome.FAIL, Outcome.INCONCLUSIVE) if one in found), Outcome.PASS
    )
    reasons = [told for outcome, told in sorted(against, key=lambda one: one[0] != Outcome.FAIL)]
    return worst, (*reasons, *_sizes(changes, margin))


def needed_rows(change: Change, margin: float, classes: int) -> int:
    """How many rows of a class are enough to tell a loss of `margin`, as the two models differ."""
    errors = Z + _quantile(0.05 / classes)
    return ceil(change.rows * (errors * change.error_at(margin) / margin) ** 2)


def worse_slices(slices: Iterable[Slice]) -> Iterator[str]:
    """The slices where the challenger is worse beyond chance, in numbers."""
    compared = [one for one in slices if one.rows and one.champion_right is not None]
    for one in compared:
        won, lost = one.only_challenger / one.rows, one.only_champion / one.rows
        spread = sqrt((won + lost - (won - lost) ** 2) / one.rows)
        change = Change.measured(won - lost, spread, one.rows)
        if change.high(_quantile(0.025 / len(compared))) < 0:
            yield f"accuracy on slice {one.name} {_told(change, 0)}: worse; slices do not block"


def _against(
    name: str, change: Change, margin: float, all_: Mapping[str, Change]
) -> Iterator[Reason]:
    told = f"recall of {name} {_told(change, margin)}"
    if needed_rows(change, margin, len(all_)) > change.rows:
        if change.high(_quantile(0.025 / len(all_))) < 0:
            yield Outcome.FAIL, f"{told}: worse"
    elif change.low(margin) < -margin:
        if change.high() < 0:
            yield Outcome.FAIL, f"{told}: worse, {margin:.3f} may be lost"
        else:
            yield Outcome.INCONCLUSIVE, f"{told}: a loss of {margin:.3f} cannot be ruled out"


def _sizes(changes: Mapping[str, Change], margin: float) -> Iterator[str]:
    needed = {name: needed_rows(one, margin, len(changes)) for name, one in changes.items()}
    small = [name for name, one in changes.items() if needed[name] > one.rows]
    if small:
        largest = max(small, key=lambda name: changes[name].rows)
        yield (
            f"{len(small)} of {len(changes)} classes have too few rows for a loss of {margin:.3f}"
            f" to show: {largest} has {changes[largest].rows}, about {needed[largest]} are needed"
        )


def _told(change: Change, loss: float) -> str:
    low, high = change.low(loss), change.high()
    return f"{change.difference:+.3f} (95 % interval {low:+.3f} to {high:+.3f}, {change.rows} rows)"


def _quantile(share: float) -> float:
    return NormalDist().inv_cdf(1 - share)
