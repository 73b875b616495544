"""Which records are rows to learn from, and what is counted about the others."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from tasks.classifiers import Data, Files
from tasks.errors import BadData
from tasks.policy.lines import BLANK, records

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
# str.strip() knows NBSP and the like; these have no width and are no white space for Unicode.
_INVISIBLE = str.maketrans("", "", "\u200b\u200c\u200d\u2060\ufeff")
_LINES_TOLD = 5


class Row(NamedTuple):
    """One text with its label, at its first physical line."""

    line: int
    id: str
    label: str
    text: str


class Drop(NamedTuple):
    """A record that is not used, or a blank line."""

    line: int
    reason: str


@dataclass(slots=True)
class Tally:
    """What became of the records of one file. No record is missing from it."""

    file: str
    blank: int = 0
    kept: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    first_lines: dict[str, list[int]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows read: kept and dropped; blank lines are none."""
        return sum(self.kept.values()) + sum(self.dropped.values())

    def keeps(self, found: Iterable[Row | Drop]) -> Iterator[Row]:
        """The rows among what was found; everything is counted on the way."""
        for one in found:
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
    label_at, text_at = where[files.label], [where[column] for column in files.text]
    id_at = where[files.id] if files.id else None
    known = {label: label for label in data.labels} | files.codes
    for line, fields, fault in records(name, lines, files):
        if fault:
            yield Drop(line, fault)
        elif (label := known.get(fields[label_at].strip())) is None:
            yield Drop(line, "unknown_label")
        elif not (parts := [part for index in text_at if (part := _bare(fields[index]))]) or (
            not _bare(fields[text_at[-1]])
        ):
            yield Drop(line, "empty_text")
        elif any(map(_CONTROL.search, fields)):
            yield Drop(line, "control_char")
        elif len(text := " ".join(parts)) > data.max_chars:
            yield Drop(line, "text_too_long")
        else:
            yield Row(line, "" if id_at is None else fields[id_at].strip(), label, text)


def _bare(text: str) -> str:
    """The text without white space around it; empty when nothing of it can be seen."""
    text = text.strip()
    return text if text.isascii() or text.translate(_INVISIBLE).strip() else ""


def digest(*parts: str) -> bytes:
    """16 bytes that stand for the parts, so that sets of them stay small."""
    return blake2b("\0".join(parts).encode(), digest_size=16).digest()


def check(tally: Tally, most: float) -> None:
    """Raise BadData when the file cannot be learned from: no rows, too many drops, one class."""
    # A leak is cured by the drop and says nothing about the file.
    dropped = sum(tally.dropped.values()) - tally.dropped.get("leakage", 0)
    if not tally.kept:
        raise BadData(tally.file, None, "no_rows", tally.told() or "the file holds no record")
    if dropped > most * tally.rows:
        detail = f"{dropped} of {tally.rows} rows, {most:.1%} are allowed: {tally.told()}"
        raise BadData(tally.file, None, "too_many_drops", detail)
    if len(tally.kept) < 2:
        detail = f"all {sum(tally.kept.values())} rows are {next(iter(tally.kept))!r}"
        raise BadData(tally.file, None, "one_class", detail)
