"""Data files as numbered records: lines in, fields out, a few hundred in memory at once."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from itertools import chain, islice
from typing import NamedTuple

from tasks.classifiers import Files
from tasks.errors import BadData
from tasks.policy.jsonl import BLANK, fields_of
from tasks.policy.lines import AT_ONCE, Text, decoded

# A quote that is never closed swallows the rest of a file: stop it before memory does.
_MAX_FIELD = 64 * 1024 * 1024


class Chunk(NamedTuple):
    """Records that follow each other: the first physical line of each, and its fields.

    A string in the place of fields says why there are none. `plain`: no control byte is inside.
    """

    lines: Sequence[int]
    rows: list[list[str] | str]
    plain: bool


def chunks(name: str, lines: Iterable[bytes], files: Files) -> Iterator[Chunk]:
    """Every record of the file called `name`, whose `lines` end at LF only.

    Raises BadData for faults that put the rest of the file in doubt.
    """
    texts = decoded(name, lines, files.encoding)
    if files.format == "jsonl":
        for block in texts:
            read = [fields_of(line, files.columns) for line in block.lines]
            # Inside JSON a control character hides behind an escape.
            plain = block.plain and "\\" not in block.text
            yield Chunk(range(block.first, block.first + len(read)), read, plain)
        return
    order, wanted, pending = None, len(files.columns), files.header
    for numbers, found, plain in _split(name, texts, files):
        kept, begin = numbers, 0
        if pending and (begin := _first(found)) < len(found):
            order = _header(name, numbers[begin], found[begin], files.columns)
            pending, kept = False, [*numbers[:begin], *numbers[begin + 1 :]]
            del found[begin]
        rows: list[list[str] | str] = list(found)
        if set(map(len, rows)) != {wanted}:
            rows = [row if len(row) == wanted else _fault(row) for row in found]
        if order:
            rows = [row if isinstance(row, str) else [row[at] for at in order] for row in rows]
        yield Chunk(kept, rows, plain)


def _split(
    name: str, texts: Iterator[Text], files: Files
) -> Iterator[tuple[Sequence[int], list[list[str]], bool]]:
    if files.format == "csv":
        yield from _csv(name, texts)
        return
    # Only the first separators count: a description may hold ` ::: ` too.
    sign, most = ("\t", -1) if files.format == "tsv" else (" ::: ", len(files.columns) - 1)
    for block in texts:
        rows = [line.split(sign, most) for line in block.lines]
        yield range(block.first, block.first + len(rows)), rows, block.plain


def _csv(name: str, texts: Iterator[Text]) -> Iterator[tuple[Sequence[int], list[list[str]], bool]]:
    current, plain, line = True, True, 1

    def told() -> Iterator[StringIO]:
        nonlocal current, plain
        for block in texts:
            current, plain = block.plain, plain and block.plain
            yield StringIO(block.text, newline="\n")

    csv.field_size_limit(_MAX_FIELD)
    reader = csv.reader(chain.from_iterable(told()), strict=True)
    while True:
        rows: list[list[str]] = []
        fault = None
        try:
            rows.extend(islice(reader, AT_ONCE))
        except csv.Error as error:
            fault = error
        numbers: Sequence[int] = range(line, line + len(rows))
        if fault or reader.line_num != line + len(rows) - 1:
            # A line end inside a field is where a record goes on in the next line.
            starts = [line]
            starts.extend(line := line + 1 + sum(f.count("\n") for f in row) for row in rows)
            if fault:
                detail = f"{fault}; double quotes inside"
                raise BadData(name, starts[-1], "bad_quoting", detail) from fault
            numbers = starts[:-1]
        if not rows:
            return
        yield numbers, rows, plain
        line, plain = reader.line_num + 1, current


def _fault(row: list[str]) -> str:
    return BLANK if not row or (len(row) == 1 and not row[0].strip(" ")) else "bad_field_count"


def _first(rows: list[list[str]]) -> int:
    """Where the first record is that holds anything; the number of records when none does."""
    return next((at for at, row in enumerate(rows) if any(map(str.strip, row))), len(rows))


def _header(name: str, line: int, fields: list[str], columns: tuple[str, ...]) -> list[int]:
    names = [field.strip() for field in fields]
    if sorted(names) != sorted(columns):
        raise BadData(name, line, "bad_header", f"columns {names}, declared {list(columns)}")
    return [names.index(column) for column in columns]
