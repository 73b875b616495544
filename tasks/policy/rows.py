"""Which records are rows to learn from, and what is counted about the others."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from operator import itemgetter
from typing import NamedTuple

from tasks.classifiers import Data, Files
from tasks.errors import BadData
from tasks.policy.lines import BLANK, chunks

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
# str.strip() knows NBSP and the like; these have no width and are no white space for Unicode.
_INVISIBLE = str.maketrans("", "", "\u200b\u200c\u200d\u2060\ufeff")
_LINES_TOLD = 5
NONE: tuple[str, ...] = ()


class Row(NamedTuple):
    """One text with its label, at its first physical line."""

    line: int
    id: str
    label: str
    text: str
    missing: tuple[str, ...] = NONE


class Drop(NamedTuple):
    """A record that is not used, or a blank line."""

    line: int
    reason: str
    missing: tuple[str, ...] = NONE


@dataclass(slots=True)
class Tally:
    """What became of the records of one file. No record is missing from it."""

    file: str
    blank: int = 0
    kept: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    first_lines: dict[str, list[int]] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows read: kept and dropped; blank lines are none."""
        return sum(self.kept.values()) + sum(self.dropped.values())

    def keeps(self, found: Iterable[Row | Drop]) -> Iterator[Row]:
        """The rows among what was found; everything is counted on the way."""
        for one in found:
            if one.missing:
                for column in one.missing:
                    self.missing[column] = self.missing.get(column, 0) + 1
            if isinstance(one, Row):
                self.kept[one.label] = self.kept.get(one.label, 0) + 1
                yield one
            elif one.reason == BLANK:
                self.blank += 1
            else:
                self.dropped[one.reason] = self.dropped.get(one.reason, 0) + 1
                lines = self.first_lines.setdefault(one.reason, [])
                if len(lines) < _LINES_TOLD:
                    lines.append(one.line)

    def told(self) -> str:
        """The drops in words: `3 empty_text (lines 2, 3, 4)`."""
        return ", ".join(
            f"{count} {reason} (first at lines {', '.join(map(str, self.first_lines[reason]))})"
            for reason, count in sorted(self.dropped.items())
        )


def parse(name: str, lines: Iterable[bytes], files: Files, data: Data) -> Iterator[Row | Drop]:
    """Each record of a file as a row or the first reason against it, in the file's order."""
    where = {column: index for index, column in enumerate(files.columns)}
    label_at, strip, made = where[files.label], str.strip, tuple.__new__
    first, *more = [where[column] for column in files.text]
    texts = itemgetter(first, *more) if more else itemgetter(slice(first, first + 1))
    id_at = where[files.id] if files.id else None
    known = {label: label for label in data.labels} | files.codes
    for numbers, rows, plain in chunks(name, lines, files):
        for line, fields in zip(numbers, rows, strict=True):
            if isinstance(fields, str):
                yield Drop(line, fields)
                continue
            label = known.get(fields[label_at])
            if label is None and (label := known.get(fields[label_at].strip())) is None:
                yield Drop(line, "unknown_label", _missing(fields, files))
                continue
            parts = list(map(strip, texts(fields)))
            text, missing = " ".join(parts), NONE
            if "" in parts or not text.isascii():
                parts = [_visible(part) for part in parts]
                text, missing = " ".join(filter(None, parts)), _missing(fields, files)
            if not parts[-1]:
                yield Drop(line, "empty_text", missing)
            elif not plain and any(map(_CONTROL.search, fields)):
                yield Drop(line, "control_char", missing)
            elif len(text) > data.max_chars:
                yield Drop(line, "text_too_long", missing)
            elif id_at is None:
                yield made(Row, (line, "", label, text, missing))
            else:
                yield made(Row, (line, fields[id_at].strip(), label, text, missing))


def _visible(text: str) -> str:
    """The stripped text; empty when nothing of it can be seen."""
    return text if text.isascii() or text.translate(_INVISIBLE).strip() else ""


def _missing(fields: list[str], files: Files) -> tuple[str, ...]:
    """The columns that hold nothing that can be seen."""
    named = zip(files.columns, fields, strict=True)
    return tuple(column for column, field in named if not _visible(field.strip())) or NONE


def digest(*parts: str) -> bytes:
    """16 bytes that stand for the parts, so that sets of them stay small."""
    return blake2b("\0".join(parts).encode(), digest_size=16).digest()


def check(tallies: Sequence[Tally], most: float) -> None:
    """Raise BadData when the files of a split cannot be learned from.

    No file may be without rows or lose too many; one class is allowed in a file, not in all.
    """
    for tally in tallies:
        _check(tally, most)
    labels = {label for tally in tallies for label in tally.kept}
    if len(labels) < 2:
        names, rows = ", ".join(tally.file for tally in tallies), sum(t.rows for t in tallies)
        kept = sum(sum(tally.kept.values()) for tally in tallies)
        detail = f"all {kept} rows that are left of {rows} are {next(iter(labels))!r}"
        raise BadData(names, None, "one_class", detail)


def _check(tally: Tally, most: float) -> None:
    # A leak is cured by the drop and says nothing about the file.
    dropped = sum(tally.dropped.values()) - tally.dropped.get("leakage", 0)
    if not tally.kept:
        raise BadData(tally.file, None, "no_rows", tally.told() or "the file holds no record")
    if dropped > most * tally.rows:
        detail = f"{dropped} of {tally.rows} rows, {most:.1%} are allowed: {tally.told()}"
        raise BadData(tally.file, None, "too_many_drops", detail)
