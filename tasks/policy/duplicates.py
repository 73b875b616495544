"""Rows that say the same twice, or two things about one text. Remembers hashes, never texts."""

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tasks.policy.rows import Drop, Row, digest

_SIGNS = bytes(code for code in range(128) if not chr(code).isalnum())
_LOWER = bytes(range(256)).lower()


@dataclass(frozen=True, slots=True)
class Repeated:
    """Hashes of what comes more than once; all others need not be remembered one by one."""

    texts: frozenset[int]
    ids: frozenset[int]
    torn: frozenset[int]


@dataclass(slots=True)
class Seen:
    """The repeated rows and texts that were met so far, in all files of a split."""

    rows: set[bytes] = field(default_factory=set)
    texts: set[bytes] = field(default_factory=set)


def repeated(files: Sequence[Iterable[Row | Drop]]) -> Repeated:
    """What the rows of these files repeat. Costs ten bytes a row, eighteen when rows have ids.

    The hash is Python's own: seeded anew in every process, so that no file can aim at it.
    """
    texts, labels = array("q"), array("H")
    numbers: dict[str, int] = {}
    again: set[int] = set()
    for found in files:
        ids = array("q")
        for one in found:
            if isinstance(one, Row):
                texts.append(hash(one.text))
                labels.append(numbers.setdefault(one.label, len(numbers)))
                if one.id:
                    ids.append(hash(one.id))
        again.update(_twice(np.frombuffer(ids, np.int64)).tolist())
    hashes = np.frombuffer(texts, np.int64)
    twice = _twice(hashes)
    at = np.flatnonzero(np.isin(hashes, twice))
    pairs = np.column_stack((hashes[at], np.frombuffer(labels, np.uint16)[at].astype(np.int64)))
    torn = _twice(np.unique(pairs, axis=0)[:, 0])
    return Repeated(frozenset(twice.tolist()), frozenset(again), frozenset(torn.tolist()))


def _twice(hashes: NDArray[np.int64]) -> NDArray[np.int64]:
    ordered = np.sort(hashes)
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])


def unique(found: Iterable[Row | Drop], again: Repeated, seen: Seen) -> Iterator[Row | Drop]:
    """The same rows with each repetition turned into a drop; the first one stays.

    An id stands for a row within its file only, a text within all of them.
    """
    if not again.texts and not again.ids:
        yield from found
        return
    ids: set[bytes] = set()
    for one in found:
        if isinstance(one, Drop):
            yield one
            continue
        common = hash(one.text)
        twice = common in again.texts
        if twice:
            row, text = digest(one.id, one.label, one.text), digest(one.text)
            if row in seen.rows:
                yield Drop(one.line, "duplicate_row", one.missing)
                continue
            seen.rows.add(row)
            if common in again.torn:
                yield Drop(one.line, "conflicting_label", one.missing)
                continue
        if one.id and hash(one.id) in again.ids:
            if (name := digest(one.id)) in ids:
                yield Drop(one.line, "duplicate_id", one.missing)
                continue
        else:
            name = b""
        if twice and one.id and text in seen.texts:
            yield Drop(one.line, "duplicate_text", one.missing)
            continue
        if name:
            ids.add(name)
        if twice and one.id:
            seen.texts.add(text)
        yield one


def without(
    found: Iterable[Row | Drop], held_out: Collection[int], reason: str = "leakage"
) -> Iterator[Row | Drop]:
    """The same rows with those whose text is held elsewhere turned into drops."""
    for one in found:
        leaked = isinstance(one, Row) and hash(stamp(one.text)) in held_out
        yield Drop(one.line, reason, one.missing) if leaked else one


@lru_cache(maxsize=1)  # it is asked for twice in a row: by the leakage check and by the split
def stamp(text: str) -> bytes:
    """Letters and digits only, so that a comma does not hide a copy; else the text itself."""
    if text.isascii():  # ten times faster, and most texts are
        packed = text.encode()
        return packed.translate(_LOWER, _SIGNS) or packed
    return ("".join(filter(str.isalnum, text.casefold())) or text).encode()
