"""Parts of the test rows on which a model may fail while it is good overall."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from training.data import Rows
from training.formats import Slice

# The 95 % interval of a share over so many rows is at most 10 points to either side.
_ADEQUATE_ROWS = 100
_TAIL = 10
_RARE = 0.5


def slices(
    rows: Rows,
    truncated: Sequence[bool],
    right: Sequence[bool],
    champion_right: Sequence[bool] | None = None,
) -> tuple[Slice, ...]:
    """Every part by its rule, also one that has no rows; `truncated` is the challenger's word."""
    new = np.asarray(right, dtype=bool)
    old = None if champion_right is None else np.asarray(champion_right, dtype=bool)
    return tuple(
        _slice(name, rule, np.asarray(members, dtype=bool), new, old)
        for name, rule, members in _parts(rows, truncated)
    )


def _parts(rows: Rows, truncated: Sequence[bool]) -> list[tuple[str, str, Sequence[bool]]]:
    lengths = [len(text) for text in rows.texts]
    low, high = (int(value) for value in np.percentile(lengths, [_TAIL, 100 - _TAIL]))
    counts = Counter(rows.labels)
    few = _RARE * len(rows.labels) / len(counts)
    rare = {label for label, count in counts.items() if count < few}
    return [
        ("short", f"at most {low} characters, the shortest tenth", [n <= low for n in lengths]),
        ("long", f"at least {high} characters, the longest tenth", [n >= high for n in lengths]),
        ("truncated", "cut to the challenger's max-length", truncated),
        ("non-ASCII", "a character outside ASCII", [not text.isascii() for text in rows.texts]),
        (
            "rare classes",
            f"classes with less than half of an even share: {', '.join(sorted(rare)) or 'none'}",
            [label in rare for label in rows.labels],
        ),
    ]


def _slice(
    name: str, rule: str, members: np.ndarray, new: np.ndarray, old: np.ndarray | None
) -> Slice:
    count = int(members.sum())
    compared = {}
    if old is not None:
        compared = {
            "champion_right": int((members & old).sum()),
            "only_challenger": int((members & new & ~old).sum()),
            "only_champion": int((members & old & ~new).sum()),
        }
    return Slice(
        name=name,
        rule=rule,
        rows=count,
        adequate=count >= _ADEQUATE_ROWS,
        right=int((members & new).sum()),
        **compared,
    )
