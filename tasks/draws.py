"""A uniform sample of more rows than one wants to look at; the same rows give the same sample."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_SEED = 20261121
_POSITIONS = 256
_WAITING = 2**17  # rows that are held beyond those wanted before the largest are thrown away
_ROW = 32  # bits of a place that tell the row


@dataclass(slots=True)
class Draw:
    """The `most` rows of the smallest fingerprints; a row that is offered twice counts once.

    Bottom-k sampling: Cohen and Kaplan, Summarizing Data using Bottom-k Sketches (PODC 2007).
    Holds 16 bytes for each of at most `most` rows and some 131,000 more.
    """

    most: int
    total: int = 0  # rows offered, less those that were seen to come twice
    _bound: int = 2**64 - 1
    _prints: list[NDArray[np.uint64]] = field(default_factory=list)
    _places: list[NDArray[np.int64]] = field(default_factory=list)
    _waiting: int = 0

    def offer(self, segment: int, prints: NDArray[np.uint64], rows: NDArray[np.int64]) -> None:
        """Rows of a segment by their fingerprints; segments are offered in their order."""
        self.total += len(prints)
        low = prints <= np.uint64(self._bound)
        self._prints.append(prints[low])
        self._places.append((segment << _ROW) + rows[low])
        self._waiting += len(self._prints[-1])
        if self._waiting > _WAITING:
            self._settle()

    def rows(self) -> dict[int, NDArray[np.int64]]:
        """The drawn rows of each segment that has any, both in the order they were offered in."""
        self._settle()
        places = self._places[0]
        segments, begins = np.unique(places >> _ROW, return_index=True)
        rows = np.split(places & (2**_ROW - 1), begins[1:])
        return dict(zip(segments.tolist(), rows, strict=False))

    def _settle(self) -> None:
        prints = np.concatenate([np.empty(0, np.uint64), *self._prints])
        places = np.concatenate([np.empty(0, np.int64), *self._places])
        smallest, first = np.unique(prints, return_index=True)
        self.total -= len(prints) - len(smallest)
        if len(smallest) > self.most:
            self._bound = int(smallest[self.most - 1])
        kept = np.sort(first[: self.most])
        self._prints, self._places, self._waiting = [prints[kept]], [places[kept]], 0


def fingerprints(ids: pa.StringArray) -> NDArray[np.uint64]:
    """64 bits of each id, uniform and the same everywhere.

    Multilinear hashing (Lemire and Kaser, Strongly universal string hashing is fast, Computer
    Journal 57, 2014), its upper bits carried down by the finisher of SplitMix64.
    """
    if not len(ids):
        return np.empty(0, np.uint64)
    _, offsets, content = ids.buffers()
    ends = np.frombuffer(offsets, np.int32)[ids.offset : ids.offset + len(ids) + 1]
    ends = ends.astype(np.int64)
    letters = np.frombuffer(content or b"", np.uint8)[ends[0] : ends[-1]]
    lengths = np.diff(ends)
    at = np.arange(len(letters)) - np.repeat(ends[:-1] - ends[0], lengths)
    keys = np.random.default_rng(_SEED).integers(2**64, size=_POSITIONS, dtype=np.uint64)
    sums = np.concatenate(
        ([np.uint64(0)], np.cumsum((letters + np.uint64(1)) * keys[at % _POSITIONS]))
    )
    mixed = np.diff(sums[ends - ends[0]]) + lengths.astype(np.uint64) * keys[0]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    found: NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return found
