"""How often a model is right when it is so confident: learned where the truth is known.

Platt's (1999) logistic curve over the log-odds of the confidence, with his smoothed targets. Rows
of the reference may count for more where they are more like the window (Shimodaira, 2000): a
domain classifier says how much more.
"""

from dataclasses import dataclass

import numpy as np

from tasks.policy.effects import Floats
from tasks.policy.signals import Features

DRAWS = 100
_STEPS = 20, 5  # of Newton's: for all rows, and from there for each draw of them
_STRIDE = 1.0  # no step is longer: it might not come back
_ROWS = 5000  # of a side, drawn by chance: the estimate is settled to a tenth of a point
_MOST_LIKE = 4.0  # log: rows that are 50 times as likely in the window count no more than that
_EDGE = 1e-4


@dataclass(frozen=True, slots=True)
class Estimate:
    """Accuracy of reference and window, and of each of DRAWS bootstrap draws of both."""

    reference: float
    window: float
    drawn_reference: Floats
    drawn_window: Floats


def estimate(reference: Features, window: Features, weights: Floats, seed: int) -> Estimate:
    """CBPE: the mean chance to be right (Guillory et al. 2021; Kivimaki et al. 2025), with both
    samples drawn again with replacement, so that what is not known of the curve counts, too."""
    chance = np.random.default_rng(seed)
    old, new = log_odds(reference.confidence), log_odds(window.confidence)
    right = (reference.labels == reference.truth).astype(np.float64)
    many = len(old)
    counts = chance.multinomial(many, np.full(many, 1 / many), size=DRAWS)
    whole = _fitted(old, right, weights[None, :], np.zeros((1, 2)), _STEPS[0])
    curves = _fitted(old, right, counts * weights, whole, _STEPS[1])
    seen = [_chance(start + slope * chance.choice(new, len(new))).mean() for start, slope in curves]
    now = _chance(whole[0, 0] + whole[0, 1] * new).mean()
    return Estimate(float(right.mean()), float(now), counts @ right / many, np.array(seen))


def likeness(reference: Features, window: Features) -> Floats:
    """How much more often each reference row's like is in the window; 1 on average."""
    from sklearn.linear_model import LogisticRegression  # seconds, only where drift was seen

    both = np.concatenate([_place(reference), _place(window)])
    both = (both - both.mean(axis=0)) / np.sqrt(both.var(axis=0) + both.var(axis=0).mean())
    is_new = np.arange(len(both)) >= len(reference)
    line = LogisticRegression(C=0.1, class_weight="balanced", max_iter=500).fit(both, is_new)
    odds = line.decision_function(both[: len(reference)])
    weights = np.exp(np.clip(odds, -_MOST_LIKE, _MOST_LIKE))
    found: Floats = weights / weights.mean()
    return found


def fewer(rows: Features, seed: int) -> Features:
    """At most so many of the rows, by chance."""
    if len(rows) <= _ROWS:
        return rows
    chosen = np.random.default_rng(seed).choice(len(rows), _ROWS, replace=False)
    return rows.take(np.sort(chosen))


def log_odds(confidence: Floats) -> Floats:
    inside = np.clip(confidence, _EDGE, 1 - _EDGE)
    found: Floats = np.log(inside / (1 - inside))
    return found


def _place(rows: Features) -> Floats:
    columns = [log_odds(rows.confidence)[:, None]]
    if rows.vectors is not None:
        columns.append(rows.vectors.astype(np.float64))
    return np.hstack(columns)


def _fitted(odds: Floats, right: Floats, weights: Floats, curve: Floats, steps: int) -> Floats:
    """Start and slope of the curve for each row of weights, by Newton's method from `curve`."""
    goods, bads = (weights @ right)[:, None], (weights @ (1 - right))[:, None]
    target = np.where(right > 0, (goods + 1) / (goods + 2), 1 / (bads + 2))
    start, slope = (np.full(len(weights), one) for one in curve[0])
    for _ in range(steps):
        found = _chance(start[:, None] + slope[:, None] * odds)
        miss, spread = weights * (target - found), weights * np.maximum(found * (1 - found), 1e-6)
        a, b, c = spread.sum(1), spread @ odds, spread @ odds**2 + 1e-3
        first, second = miss.sum(1), miss @ odds
        both = np.maximum(a * c - b**2, 1e-9)
        start = start + np.clip((c * first - b * second) / both, -_STRIDE, _STRIDE)
        slope = slope + np.clip((a * second - b * first) / both, -_STRIDE, _STRIDE)
    return np.column_stack([start, slope])


def _chance(odds: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
    return found
