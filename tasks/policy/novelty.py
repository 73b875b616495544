"""The texts of a window that are least like any text of the reference."""

import numpy as np
from numpy.typing import NDArray

from tasks.policy.signals import Features

_REFERENCE_ROWS = 2000  # drawn by a fixed seed: enough to find something like a text, if there is
_NEIGHBOURS = 5  # one strange reference text makes nothing familiar
_AT_ONCE = 4096


def most_novel(reference: Features, window: Features, most: int = 20) -> tuple[str, ...]:
    """Beginnings of at most so many different texts, the farthest from the reference first.

    Far is what has little cosine similarity to its fifth nearest reference text. Nothing where the
    log keeps no texts.
    """
    if reference.vectors is None or window.vectors is None or not window.excerpts:
        return ()
    known = _unit(reference.vectors)
    if len(known) > _REFERENCE_ROWS:
        chosen = np.random.default_rng(0).choice(len(known), _REFERENCE_ROWS, replace=False)
        known = known[chosen]
    near = np.concatenate([_near(known, part) for part in _parts(window.vectors)])
    told: dict[str, None] = {}
    for row in np.argsort(near, kind="stable"):
        told.setdefault(window.excerpts[row])
        if len(told) == most:
            break
    return tuple(told)


def _parts(vectors: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [_unit(vectors[start : start + _AT_ONCE]) for start in range(0, len(vectors), _AT_ONCE)]


def _near(known: NDArray[np.float32], texts: NDArray[np.float32]) -> NDArray[np.float32]:
    place = max(len(known) - _NEIGHBOURS, 0)
    found: NDArray[np.float32] = np.partition(texts @ known.T, place, axis=1)[:, place]
    return found


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, 1e-12).astype(np.float32)
    return unit
