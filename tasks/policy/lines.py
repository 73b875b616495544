"""Data files as numbered records: bytes in, fields out, one record in memory at a time."""

import csv
import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tasks.classifiers import Files
from tasks.errors import BadData

BLANK = "blank"
_BOM = b"\xef\xbb\xbf"
# A quote that is never closed swallows the rest of a file: stop it before memory does.
_MAX_FIELD = 64 * 1024 * 1024


class Record(NamedTuple):
    """One record at its first physical line: its fields in column order, or why it has none."""

    line: int
    fields: list[str]
    fault: str = ""


def records(name: str, lines: Iterable[bytes], files: Files) -> Iterator[Record]:
    """Every record of the file called `name`, whose `lines` end at LF only.

    Raises BadData for faults that put the rest of the file in doubt.
    """
    texts = _decoded(name, lines, files.encoding)
    if files.format == "jsonl":
        yield from (_json(line, text, files.columns) for line, text in enumerate(texts, 1))
        return
    found = _split(name, texts, files)
    order = _header(name, found, files.columns) if files.header else None
    wanted = len(files.columns)
    for line, fields in found:
        if not fields or (len(fields) == 1 and not fields[0].strip(" ")):
            yield Record(line, [], BLANK)
        elif len(fields) != wanted:
            yield Record(line, [], "bad_field_count")
        else:
            yield Record(line, [fields[index] for index in order] if order else fields)


def _decoded(name: str, lines: Iterable[bytes], encoding: str) -> Iterator[str]:
    offset = 0
    for number, raw in enumerate(lines, 1):
        bom = len(_BOM) if number == 1 and encoding == "utf-8" and raw.startswith(_BOM) else 0
        try:
            text = raw[bom:].decode(encoding)
        except UnicodeDecodeError as error:
            at = offset + bom + error.start
            raise BadData(
                name,
                number,
                "bad_encoding",
                f"byte {at} (0x{raw[bom + error.start]:02x}) is not {encoding};"
                " convert the file, or declare data.files.encoding in the classifier file",
            ) from error
        offset += len(raw)
        text = text.removesuffix("\n").removesuffix("\r")
        yield text.replace("\r", " ") if "\r" in text else text


def _split(name: str, texts: Iterator[str], files: Files) -> Iterator[tuple[int, list[str]]]:
    if files.format == "csv":
        return _csv(name, texts)
    if files.format == "tsv":
        return ((line, text.split("\t")) for line, text in enumerate(texts, 1))
    # Only the first separators count: a description may hold ` ::: ` too.
    most = len(files.columns) - 1
    return ((line, text.split(" ::: ", most)) for line, text in enumerate(texts, 1))


def _csv(name: str, texts: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(_MAX_FIELD)
    reader = csv.reader((f"{text}\n" for text in texts), strict=True)
    while True:
        first = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadData(name, first, "bad_quoting", f"{error}; double quotes inside") from error
        yield first, fields


def _header(
    name: str, found: Iterator[tuple[int, list[str]]], columns: tuple[str, ...]
) -> list[int]:
    for line, fields in found:
        names = [field.strip() for field in fields]
        if not any(names):
            continue
        if sorted(names) != sorted(columns):
            raise BadData(name, line, "bad_header", f"columns {names}, declared {list(columns)}")
        return [names.index(column) for column in columns]
    return list(range(len(columns)))


def _json(line: int, text: str, columns: tuple[str, ...]) -> Record:
    if not text.strip(" "):
        return Record(line, [], BLANK)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return Record(line, [], "bad_json")
    if not found.keys() >= set(columns):
        return Record(line, [], "bad_field_count")
    fields = ["" if found[column] is None else found[column] for column in columns]
    if not all(isinstance(field, str | int) for field in fields):
        return Record(line, [], "bad_json")
    # An escaped lone surrogate is valid JSON and no text: it cannot be written as UTF-8 again.
    if "\\u" in text and any("\ud800" <= letter <= "\udfff" for f in fields for letter in str(f)):
        return Record(line, [], "bad_json")
    return Record(line, [str(field) for field in fields])
