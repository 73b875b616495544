"""Which records are rows to learn from."""

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from operator import itemgetter
from typing import NamedTuple

from tasks.classifiers import Data, Files
from tasks.policy.records import chunks

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
# str.strip() knows NBSP and the like; these have no width and are no white space for Unicode.
_INVISIBLE = str.maketrans("", "", "\u200b\u200c\u200d\u2060\ufeff")
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
