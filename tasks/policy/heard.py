"""What callers heard from both versions over the same minutes, as the prediction log tells it.

Requests are dealt out by lot, so both versions meet the same language and a difference of their
answers is their own. A version that was trained anew may differ: FAIL is said only of a difference
that is beyond doubt larger than allowed. The log never makes a rollout wait or go on.

Counted is each text where it came first: a caller who asks the same again and again is heard once.
Not covered: callers who stay with one version.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.policy.canary import Finding, Limits
from tasks.policy.sequential import p_beyond
from tasks.records import Outcome

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_WHAT = "answers to callers"


class Logged(NamedTuple):
    """Answers in any order, a column each; equal texts have equal numbers."""

    at_ms: Ints
    new: npt.NDArray[np.bool_]  # whose it is
    labels: npt.NDArray[np.object_]
    confidences: Floats
    texts: npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Heard:
    """What one version answered: how often each label, and how many of all were unsure."""

    labels: dict[str, int]
    unsure: int

    @property
    def answers(self) -> int:
        return sum(self.labels.values())

    def share(self, label: str) -> float:
        return self.labels[label] / max(self.answers, 1)

    @property
    def unsure_share(self) -> float:
        return self.unsure / max(self.answers, 1)


@dataclass(frozen=True, slots=True)
class Both:
    """The same minutes of both versions, with the same labels; `until_ms` is None without rows."""

    new: Heard
    old: Heard
    unsure_below: float
    until_ms: int | None

    @property
    def moved(self) -> str:
        """The label whose share differs most."""
        return max(self.new.labels, key=self._apart)

    def _apart(self, label: str) -> float:
        return abs(self.new.share(label) - self.old.share(label))


class Counts(NamedTuple):
    """Of one version, elementwise: answers by label (the last axis), unsure ones, all of them."""

    labels: npt.ArrayLike
    unsure: npt.ArrayLike
    answers: npt.ArrayLike


def counted(logged: Logged, labels: Sequence[str]) -> Both:
    """Both versions, up to where the log goes for both; `labels` are those that there can be.

    An answer is unsure when its confidence is nearer to guessing than to certainty.
    """
    ends = [int(logged.at_ms[side].max()) for side in (logged.new, ~logged.new) if side.any()]
    end = min(ends, default=None)
    order = np.argsort(logged.at_ms, kind="stable")
    order = order[: np.searchsorted(logged.at_ms[order], end or 0, side="right")]
    first = order[np.unique(logged.texts[order], return_index=True)[1]]
    names = sorted({*labels, *logged.labels.tolist()})
    unsure_below = (1 + 1 / max(len(names), 2)) / 2
    new, old = (
        _heard(logged, first[logged.new[first] == side], names, unsure_below)
        for side in (True, False)
    )
    return Both(new, old, unsure_below, end)


def _heard(logged: Logged, rows: Ints, names: Sequence[str], unsure_below: float) -> Heard:
    found = Counter(logged.labels[rows].tolist())
    unsure = int((logged.confidences[rows] < unsure_below).sum())
    return Heard({name: found[name] for name in names}, unsure)


def judge(both: Both, limits: Limits) -> Finding:
    """FAIL when a label's share moved, or unsure answers became more, by over the allowed share.

    Even few answers may show that. PASS only says that there are enough and that they do not.
    """
    new, old = both.new, both.old
    values = p_values(_counts(new), _counts(old), limits.max_answer_shift).tolist()
    numbers = {
        "new_answers": float(new.answers),
        "old_answers": float(old.answers),
        "new_unsure_share": new.unsure_share,
        "old_unsure_share": old.unsure_share,
        "heard_p_moved": min(values),
    }
    unsure = _told(f"confidence under {both.unsure_below:.2f}", new.unsure, old.unsure, both)
    seen = [_told(name, count, old.labels[name], both) for name, count in new.labels.items()]
    doubt = f"beyond doubt (alpha {limits.alpha:g})"
    over = f"moved by more than {limits.max_answer_shift:.0%}".replace("%", " %")
    if grave := tuple(
        f"{one}: {over} {doubt}"
        for one, value in zip([*seen, unsure], values, strict=True)
        if value <= limits.level
    ):
        return Finding(Outcome.FAIL, grave, numbers)
    if min(new.answers, old.answers) < limits.min_requests:
        few = f"{new.answers:,} and {old.answers:,} of at least {limits.min_requests:,} texts"
        reason = f"{_WHAT}: {few} in the log, no opinion"
        return Finding(Outcome.INCONCLUSIVE, (reason,), numbers)
    moved = _told(both.moved, new.labels[both.moved], old.labels[both.moved], both)
    reasons = tuple(f"{one}: not shown {over}" for one in (moved, unsure))
    return Finding(Outcome.PASS, reasons, numbers)


def p_values(new: Counts, old: Counts, bound: float) -> Floats:
    """Valid at every look: of "its share moved by `bound` at most" for each label, and last of
    "unsure answers became more by `bound` at most". Each is corrected for how many there are."""
    hits = [np.asarray(side.labels) for side in (new, old)]
    of = [np.asarray(side.answers)[..., None] for side in (new, old)]
    more = p_beyond(hits[0], of[0], hits[1], of[1], bound)
    fewer = p_beyond(of[0] - hits[0], of[0], of[1] - hits[1], of[1], bound)
    unsure = p_beyond(new.unsure, new.answers, old.unsure, old.answers, bound)
    found = np.concatenate([np.minimum(more, fewer), unsure[..., None]], axis=-1)
    corrected: Floats = np.minimum(1.0, found * found.shape[-1])
    return corrected


def _counts(heard: Heard) -> Counts:
    return Counts(list(heard.labels.values()), heard.unsure, heard.answers)


def _told(what: str, new: int, old: int, both: Both) -> str:
    shares = (
        f"{100 * hits / max(side.answers, 1):.1f} % of {side.answers:,}"
        for hits, side in ((new, both.new), (old, both.old))
    )
    return f"{_WHAT}, {what}: {' against '.join(shares)}"
