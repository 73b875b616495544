"""How two models differ on the same rows, and how sure that is: a paired bootstrap.

A row is a triple (truth, challenger's answer, champion's answer). Drawing rows again with
replacement is drawing counts for the triples that occur, so the draws cost what there are triples,
not rows. Only their standard error is used: with few disagreements the percentiles of the draws
promoted a model that is worse by the margin in 15 % of simulated trials, and the two corrections
below keep it under 5 % (bench/gates.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
import numpy.typing as npt

from training.formats import Answers

Metric = Literal["accuracy", "macro_f1"]
Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Tallies = Floats | Counts

Z = 1.96  # of a two-sided 95 % interval: each side is wrong in 2.5 % of cases
DRAWS = 2000
_SEED = 42


@dataclass(frozen=True, slots=True)
class Change:
    """What a score gains from champion to challenger, over `rows` rows."""

    difference: float
    error: float
    rows: int

    @classmethod
    def measured(cls, difference: float, spread: float, rows: int) -> "Change":
        """One more disagreeing row is counted, as Agresti and Min (2005) do: no change is sure."""
        return cls(difference, sqrt(spread**2 + 1 / rows**2), rows)

    def error_at(self, loss: float) -> float:
        """The standard error if the challenger were so much worse: then they differ as often."""
        return max(self.error, sqrt(loss / self.rows))

    def low(self, loss: float = 0, z: float = Z) -> float:
        return self.difference - z * self.error_at(loss)

    def high(self, z: float = Z) -> float:
        return self.difference + z * self.error


@dataclass(frozen=True, slots=True)
class Comparison:
    """The change of the metric, and of the recall of each class that has rows."""

    overall: Change
    classes: dict[str, Change]


def compare(
    answers: Answers, labels: Sequence[str], metric: Metric, draws: int = DRAWS
) -> Comparison:
    """The same for the same answers, in whatever order rows and labels come."""
    ordered = sorted(labels)
    place = np.array([ordered.index(label) for label in labels])
    truth, new, old = (
        place[np.array(column)] for column in (answers.truth, answers.challenger, answers.champion)
    )
    if metric == "accuracy":  # one wrong answer is as bad as another: far fewer triples
        new, old = np.where(new == truth, new, -1), np.where(old == truth, old, -1)
    base = len(labels) + 1
    codes, counts = np.unique((truth * base + new + 1) * base + old + 1, return_counts=True)
    triples = np.stack([codes // base**2, codes // base % base - 1, codes % base - 1])
    drawn = _drawn(triples, counts, len(labels), draws)
    rows, right = drawn[:, 0], drawn[:, 1] - drawn[:, 2]
    recall = right / np.maximum(rows, 1)
    if metric == "accuracy":
        scores = right.sum(axis=1) / len(truth)
    else:
        scores = macro_f1(rows, drawn[:, 1], drawn[:, 3])
        scores -= macro_f1(rows, drawn[:, 2], drawn[:, 4])
    classes = {
        label: _change(recall[:, at], int(rows[0, at]))
        for at, label in enumerate(ordered)
        if rows[0, at]
    }
    return Comparison(_change(scores, len(truth)), {n: classes[n] for n in labels if n in classes})


def _drawn(triples: Counts, counts: Counts, labels: int, draws: int) -> Floats:
    """Per draw and class: rows, rows that new and old have right, and answers of new and old.

    The first draw is the rows as they are.
    """
    truth, new, old = triples
    total = int(counts.sum())
    random = np.random.default_rng(_SEED).multinomial(total, counts / total, size=draws)
    times = np.vstack([counts, random]).astype(np.float64)
    names = np.arange(labels)[:, None]
    members = [truth == names, (truth == new) & (truth == names), (truth == old) & (truth == names)]
    members += [new == names, old == names]
    tallies: Floats = times @ np.concatenate(members).T.astype(np.float64)
    return tallies.reshape(len(times), len(members), labels)


def macro_f1(rows: Tallies, right: Tallies, answers: Tallies) -> Floats:
    """The mean F1 of the classes that are in the truth or among the answers, per draw."""
    either = rows + answers
    mean: Floats = (2 * right / np.maximum(either, 1)).sum(axis=1) / (either > 0).sum(axis=1)
    return mean


def _change(scores: Floats, rows: int) -> Change:
    return Change.measured(float(scores[0]), float(scores[1:].std()), rows)
