"""Texts and answers as numbers: what the drift check compares."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

_Z = 1.959964  # two-sided 95 %


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """n rows of k labels; where the log keeps no texts only characters and answers are known.

    `numeric` holds float64[n] by name; of texts: tokens, unknown_share, split_share,
    non_latin_share, uppercase_share, digit_share; always: characters, truncated, confidence.
    """

    names: tuple[str, ...]
    labels: Numbers  # predicted, as index into `names`
    confidence: Floats
    probabilities: Floats  # n x k
    numeric: Mapping[str, Floats]
    vectors: NDArray[np.float32] | None = None  # n x at most 64; None without texts
    excerpts: tuple[str, ...] = ()  # the beginning of each text, redacted; empty without texts
    terms: Mapping[str, int] = field(default_factory=dict)  # word -> rows that have it
    truth: Numbers | None = None  # true labels, where they are known
    ids: tuple[str, ...] = ()  # request ids; the reference has none
    total: int = 0  # rows that these were drawn from

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def has_texts(self) -> bool:
        return self.vectors is not None

    @property
    def margin(self) -> float:
        """How far a share of these rows may be from that of all `total`, in 95 % of draws.

        At worst (a share of one half), with the correction for a finite population:
        Cochran, Sampling Techniques (1977), section 3.3. 0 when every row was taken.
        """
        drawn = len(self)
        if not drawn or self.total <= drawn:
            return 0.0
        unseen = (self.total - drawn) / (self.total - 1)
        return _Z * sqrt(0.25 / drawn * unseen)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> "Features":
        """The given rows, repeated ones too; `terms` and `total` stay those of the whole."""
        at = np.flatnonzero(rows) if rows.dtype == bool else rows
        return replace(
            self,
            labels=self.labels[at],
            confidence=self.confidence[at],
            probabilities=self.probabilities[at],
            numeric={name: values[at] for name, values in self.numeric.items()},
            vectors=None if self.vectors is None else self.vectors[at],
            excerpts=tuple(self.excerpts[row] for row in at) if self.excerpts else (),
            truth=None if self.truth is None else self.truth[at],
            ids=tuple(self.ids[row] for row in at) if self.ids else (),
        )


def joined(parts: Sequence[Features]) -> Features:
    """The rows of all parts, in their order; ValueError without parts or of different kinds."""
    if not parts:
        raise ValueError("no features to join")
    kinds = {(p.names, tuple(p.numeric), p.has_texts, p.truth is None) for p in parts}
    if len(kinds) > 1:
        raise ValueError("features of different labels or signals cannot be joined")
    first = parts[0]
    terms: Counter[str] = Counter()
    for part in parts:
        terms.update(part.terms)
    return Features(
        names=first.names,
        labels=np.concatenate([part.labels for part in parts]),
        confidence=np.concatenate([part.confidence for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        numeric={
            name: np.concatenate([part.numeric[name] for part in parts]) for name in first.numeric
        },
        vectors=_stacked([part.vectors for part in parts if part.vectors is not None]),
        excerpts=tuple(text for part in parts for text in part.excerpts),
        terms=dict(sorted(terms.items())),
        truth=_stacked([part.truth for part in parts if part.truth is not None]),
        ids=tuple(one for part in parts for one in part.ids),
        total=sum(part.total for part in parts),
    )


def _stacked(parts: Sequence[NDArray[Any]]) -> NDArray[Any] | None:
    return np.concatenate(parts) if parts else None
