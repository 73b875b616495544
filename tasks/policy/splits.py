"""Which split a row belongs to, and which rows are used. Decided by hashes, never by order."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from heapq import heappush, heappushpop

from tasks.policy.duplicates import stamp
from tasks.policy.rows import Row
from training.formats import SPLITS, Split

Chosen = dict[Split, list[tuple[str, str]]]
Limits = Mapping[Split, int]


def near(text: str) -> int:
    """Where a text stands among 2**128 places: near-copies stand together and share a split."""
    return int.from_bytes(sha256(stamp(text)).digest()[:16])


def key(row: Row) -> int:
    """Where a row stands among those of the same place; it hangs on nothing but the row."""
    exact = sha256(f"{row.label}\0{row.text}".encode()).digest()[:16]
    return near(row.text) << 128 | int.from_bytes(exact)


def place(position: int, validation_share: float, test_share: float) -> Split:
    """The split of a text. Depends on the text alone: new rows never move old ones."""
    point = position / 2**128
    if point < test_share:
        return "test"
    return "validation" if point >= 1 - validation_share else "train"


def quotas(counts: dict[str, int], most: int) -> dict[str, int]:
    """`most` rows shared out by class size; each class keeps one, even beyond `most`."""
    total = sum(counts.values())
    if total <= most:
        return dict(counts)
    exact = {label: most * count / total for label, count in counts.items()}
    shared = {label: int(share) for label, share in exact.items()}
    by_remainder = sorted(exact, key=lambda label: (shared[label] - exact[label], label))
    for label in by_remainder[: most - sum(shared.values())]:
        shared[label] += 1
    return {label: max(share, 1) for label, share in shared.items()}


class Selection:
    """The rows with the lowest hashes per split and class; what is not used is not held."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._heaps: dict[tuple[Split, str], list[tuple[int, str]]] = {}
        self._seen: dict[tuple[Split, str], int] = {}
        self._last: dict[tuple[Split, str], int] = {}

    def add(self, split: Split, position: int, row: Row) -> None:
        """Take the row at `near` position, unless enough rows stand before it."""
        where = split, row.label
        self._seen[where] = self._seen.get(where, 0) + 1
        if (last := self._last.get(where)) is not None and position > last:
            return
        heap = self._heaps.setdefault(where, [])
        item = (-key(row), row.text)
        if len(heap) < self._limits[split]:
            heappush(heap, item)
        elif item > heap[0]:
            heappushpop(heap, item)
        if len(heap) == self._limits[split]:
            self._last[where] = -heap[0][0] >> 128

    def gather_small(self, splits: Iterable[Split]) -> tuple[str, ...]:
        """Move the classes with fewer rows than splits to train and say which they are."""
        cut = tuple(splits)
        labels = sorted({label for split, label in self._seen if split in cut})
        small = tuple(
            label
            for label in labels
            if sum(self._seen.get((split, label), 0) for split in cut) < len(cut)
        )
        for label in small:
            for split in cut:
                if split != "train" and (heap := self._heaps.pop((split, label), None)):
                    self._heaps.setdefault(("train", label), []).extend(heap)
                    count = self._seen.pop((split, label))
                    self._seen["train", label] = self._seen.get(("train", label), 0) + count
        return small

    def chosen(self, limits: Limits | None = None) -> Chosen:
        """(text, label) of each split in the order of their hashes; `limits` may be lower now."""
        limits = self._limits if limits is None else limits
        result: Chosen = {split: [] for split in SPLITS}
        for split in SPLITS:
            counts = {label: count for (s, label), count in self._seen.items() if s == split}
            rows = [
                (-negative, text, label)
                for label, quota in quotas(counts, limits[split]).items()
                for negative, text in sorted(self._heaps[split, label], reverse=True)[:quota]
            ]
            result[split] = [(text, label) for _, text, label in sorted(rows)]
        return result
