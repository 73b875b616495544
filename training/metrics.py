"""How good a model is, as numbers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.formats import Bin, ClassScore, Latency, Paired

_BINS = 15


def accuracy(truth: Sequence[str], answers: Sequence[str]) -> float:
    return sum(map(str.__eq__, truth, answers)) / len(truth)


def macro_f1(truth: Sequence[str], answers: Sequence[str]) -> float:
    """The mean F1 of the classes that are in the truth or among the answers."""
    found = per_class(truth, answers, sorted({*truth, *answers}))
    return float(np.mean([one.f1 for one in found.values()]))


def per_class(
    truth: Sequence[str], answers: Sequence[str], labels: Sequence[str]
) -> dict[str, ClassScore]:
    """Of each label; what has no rows to be a share of is 0."""
    counts = _counts(truth, answers, labels)
    right = counts.diagonal()[:-1]
    support, given = counts.sum(axis=1)[:-1], counts.sum(axis=0)[:-1]
    shares = (
        right / np.maximum(given, 1),
        right / np.maximum(support, 1),
        2 * right / np.maximum(given + support, 1),
    )
    return {
        label: ClassScore(
            precision=float(precision), recall=float(recall), f1=float(f1), support=int(rows)
        )
        for label, precision, recall, f1, rows in zip(labels, *shares, support, strict=True)
    }


def confusion(
    truth: Sequence[str], answers: Sequence[str], labels: Sequence[str]
) -> tuple[tuple[int, ...], ...]:
    """Rows: truth, columns: answer, both in the order of the labels."""
    return tuple(tuple(map(int, row)) for row in _counts(truth, answers, labels)[:-1, :-1])


def bins(confidences: Sequence[float], right: Sequence[bool]) -> tuple[Bin, ...]:
    """Equal parts of the confidence from 0 to 1: how sure the model is there, how often right."""
    sure, correct = np.asarray(confidences, dtype=float), np.asarray(right, dtype=float)
    place = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    rows = np.bincount(place, minlength=_BINS)
    means = [
        np.bincount(place, weights=values, minlength=_BINS) / np.maximum(rows, 1)
        for values in (sure, correct)
    ]
    return tuple(
        Bin(rows=int(count), confidence=float(confidence), accuracy=float(accuracy))
        for count, confidence, accuracy in zip(rows, *means, strict=True)
    )


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: |confidence - accuracy| of the bins, weighted by their rows."""
    gaps = [one.rows * abs(one.confidence - one.accuracy) for one in bins]
    return sum(gaps) / sum(one.rows for one in bins)


def latency(milliseconds: Sequence[float], texts: int = 1) -> Latency:
    p50, p95, p99 = (float(value) for value in np.percentile(milliseconds, [50, 95, 99]))
    return Latency(p50_ms=p50, p95_ms=p95, p99_ms=p99, calls=len(milliseconds), texts=texts)


def paired(challenger_right: Sequence[bool], champion_right: Sequence[bool]) -> Paired:
    both = list(zip(challenger_right, champion_right, strict=True))
    return Paired(
        both_right=both.count((True, True)),
        only_challenger=both.count((True, False)),
        only_champion=both.count((False, True)),
        both_wrong=both.count((False, False)),
    )


def _counts(
    truth: Sequence[str], answers: Sequence[str], labels: Sequence[str]
) -> NDArray[np.int64]:
    """Rows: truth, columns: answer; the last row and column are of what is no label."""
    number = {label: at for at, label in enumerate(labels)}
    counts = np.zeros((len(labels) + 1, len(labels) + 1), np.int64)
    for true, answer in zip(truth, answers, strict=True):
        counts[number.get(true, -1), number.get(answer, -1)] += 1
    return counts
