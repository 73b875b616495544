import csv
import io
import json
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.classifiers import Files
from tasks.policy import lines, records
from tasks.policy.records import chunks

COLUMNS = ("label", "title", "text")
# What cuts a line, a field or a text for other readers: it must not for this one.
ODD = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\ufeff\u200b\xa0\x00\x1b\",'\\:éß你😀 "
LETTERS = string.ascii_letters + ODD
IN_LINE = st.text(LETTERS, max_size=12)
ANYWHERE = st.text(LETTERS + "\t\r\n", max_size=12)
LABELS = st.sampled_from(["1", "2", "x"])


def shape(kind: str, header: bool = False) -> Files:
    return Files(
        format=kind, columns=COLUMNS, label="label", text=("text",), train="t", header=header
    )


def read(content: bytes, files: Files, at_once: int) -> list[tuple[int, list[str] | str]]:
    """(line, fields) of every record, when this many are read at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "AT_ONCE", at_once)
        patch.setattr(records, "AT_ONCE", at_once)
        return [
            one
            for chunk in chunks("file", io.BytesIO(content), files)
            for one in zip(chunk.lines, chunk.rows, strict=True)
        ]


def ended(texts: list[str], end: str, last: bool, bom: bool) -> bytes:
    """The lines as a file, with or without an end after the last one and a mark at the start."""
    return ("\ufeff" * bom + end.join(texts) + end * last).encode()


AT_ONCE, END, FLAG = st.integers(1, 6), st.sampled_from(["\n", "\r\n"]), st.booleans()


def rows_of(texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[tuple[str, str, str]]]:
    return st.lists(st.tuples(LABELS, texts, texts), min_size=1, max_size=8)


@given(rows_of(IN_LINE), AT_ONCE, END, FLAG, FLAG)
def test_tab_separated_rows_come_back_as_they_were_written(rows, at_once, end, last, bom):
    content = ended(["\t".join(row) for row in rows], end, last, bom)

    assert read(content, shape("tsv"), at_once) == list(enumerate(map(list, rows), 1))


@given(rows_of(IN_LINE), AT_ONCE, END, FLAG, FLAG)
def test_triple_colon_rows_come_back_as_they_were_written(rows, at_once, end, last, bom):
    rows = [(label, title.replace(":", ";"), text) for label, title, text in rows]
    content = ended([" ::: ".join(row) for row in rows], end, last, bom)

    assert read(content, shape("triple-colon"), at_once) == list(enumerate(map(list, rows), 1))


@given(rows_of(ANYWHERE), AT_ONCE, END, FLAG, FLAG, FLAG)
def test_json_rows_come_back_as_they_were_written(rows, at_once, end, last, bom, ascii_only):
    texts = [
        json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=ascii_only) for row in rows
    ]

    found = read(ended(texts, end, last, bom), shape("jsonl"), at_once)

    assert found == list(enumerate(map(list, rows), 1))


@given(rows_of(ANYWHERE), AT_ONCE, END, FLAG, st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
def test_quoted_rows_come_back_at_their_first_line(rows, at_once, end, bom, quoting):
    # A lone CR is a space and CRLF a line end for this product, also inside quotes.
    told = [[cell.replace("\r\n", "\n").replace("\r", " ") for cell in row] for row in rows]
    stream = io.StringIO("\ufeff" * bom, newline="")
    stream.seek(0, io.SEEK_END)
    csv.writer(stream, quoting=quoting, lineterminator=end).writerows(rows)

    found = read(stream.getvalue().encode(), shape("csv"), at_once)

    first, expected = 1, []
    for row in told:
        expected.append((first, row))
        first += 1 + sum(cell.count("\n") for cell in row)
    assert found == expected


@given(rows_of(IN_LINE), AT_ONCE, st.permutations(COLUMNS), st.integers(0, 3))
def test_a_header_in_any_order_gives_the_declared_order(rows, at_once, order, blank):
    where = [COLUMNS.index(name) for name in order]
    written = ["\t".join(order), *("\t".join(row[at] for at in where) for row in rows)]

    found = read("\n".join([""] * blank + written).encode(), shape("tsv", True), at_once)

    assert [line for line, fields in found if fields == "blank"] == list(range(1, blank + 1))
    assert found[blank:] == list(enumerate(map(list, rows), blank + 2))


@example(b"\n\r", "tsv", 1)
@given(st.binary(max_size=60), st.sampled_from(["csv", "tsv", "triple-colon", "jsonl"]), AT_ONCE)
def test_how_many_are_read_at_once_changes_nothing(content, kind, at_once):
    files = shape(kind).model_copy(update={"encoding": "latin-1"})

    def outcome(many: int) -> object:
        try:
            return read(content, files, many)
        except records.BadData as error:
            return str(error)

    assert outcome(at_once) == outcome(256)
