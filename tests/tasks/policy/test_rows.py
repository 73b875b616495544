import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import classifiers
from tasks.classifiers import Data, Files
from tasks.errors import BadData
from tasks.policy.cleaning import Source, without_repeats
from tasks.policy.rows import Row, parse
from tasks.policy.tallies import Tally, check

ROOT = Path(__file__).resolve().parents[3]
DIRTY = Path(os.environ.get("PERENNIAL_SHARED_DATA", ROOT.parent / "shared/data")) / "dirty"
NEWS, GENRE, SENTIMENT = (
    classifiers.load(name, ROOT / "classifiers").data for name in ("news", "genre", "sentiment")
)
JSON_FILES = Files(
    format="jsonl",
    columns=("id", "label", "text"),
    id="id",
    label="label",
    text=("text",),
    train="train.jsonl",
    codes={"pos": "POSITIVE", "neg": "NEGATIVE"},
)
SHAPES: dict[str, tuple[Files, Data]] = {
    "ag_csv": (NEWS.files, NEWS),
    "genre": (GENRE.files, GENRE),
    "sst2_tsv": (SENTIMENT.files, SENTIMENT),
    "jsonl": (JSON_FILES, SENTIMENT),
}
EXPECTED: dict[str, dict[str, Any]] = (
    json.loads((DIRTY / "expected.json").read_text()) if DIRTY.is_dir() else {}
)


def cleaned(content: bytes, shape: str, **changes: Any) -> tuple[Tally, list[Row]]:
    files, data = SHAPES[shape]
    tally = Tally("file")
    source = Source("file", lambda: io.BytesIO(content))
    (found,) = without_repeats([source], files.model_copy(update=changes), data)
    return tally, list(tally.keeps(found))


def parsed(content: bytes, shape: str, **changes: Any) -> list[Any]:
    files, data = SHAPES[shape]
    return list(parse("file", io.BytesIO(content), files.model_copy(update=changes), data))


@pytest.mark.skipif(not EXPECTED, reason=f"no shared data at {DIRTY}; set PERENNIAL_SHARED_DATA")
@pytest.mark.parametrize("name", EXPECTED or ["none"])
def test_each_malformed_file_ends_as_its_table_says(name):
    expected, content = EXPECTED[name], (DIRTY / name).read_bytes()

    if expected["verdict"] == "reject":
        with pytest.raises(BadData) as caught:
            check([cleaned(content, expected["format"])[0]], 1.0)
        assert (caught.value.reason, caught.value.line) == (expected["reason"], expected["line"])
        assert f"byte {expected.get('byte_offset', '')}" in str(caught.value) or (
            "byte_offset" not in expected
        )
        return
    tally, rows = cleaned(content, expected["format"])
    check([tally], 1.0)
    assert [row.line for row in rows] == expected["accepted_lines"]
    assert tally.first_lines == expected["dropped"]
    assert tally.blank == len(expected.get("blank_lines", []))
    if expected["dropped"]:
        with pytest.raises(BadData, match=r"too_many_drops: \d of \d rows, 5\.0% are allowed"):
            check([tally], 0.05)


@pytest.mark.skipif(not EXPECTED, reason=f"no shared data at {DIRTY}; set PERENNIAL_SHARED_DATA")
def test_a_declared_encoding_saves_the_latin_file():
    rows = parsed((DIRTY / "04_latin1.txt").read_bytes(), "genre", encoding="latin-1")

    assert len(rows) == 3
    assert rows[1].text.startswith("Café Amargo (1996) ")


def test_a_separator_inside_the_description_stays():
    (row,) = parsed(b"5 ::: Split (2016) ::: drama ::: one ::: two", "genre")

    assert row.text == "Split (2016) one ::: two"


def test_doubled_quotes_become_one_and_line_ends_inside_quotes_stay():
    (row,) = parsed(b'"1","A ""b""","two\nlines"\r\n', "ag_csv")

    assert row.text == 'A "b" two\nlines'


def test_a_lone_carriage_return_becomes_a_space():
    (row,) = parsed(b"1 ::: T ::: drama ::: First.\rSecond.\r\n", "genre")

    assert row.text == "T First. Second."


def test_unicode_line_ends_do_not_cut_a_row():
    line = json.dumps({"id": "1", "label": "pos", "text": "a\u0085b\u2028c"}, ensure_ascii=False)

    (row,) = parsed(line.encode(), "jsonl")

    assert row.text == "a\u0085b\u2028c"


def test_a_header_puts_columns_in_order_and_a_renamed_one_is_refused():
    (row,) = parsed(b"label\tsentence\n1\tgood\n", "sst2_tsv", header=True)
    assert (row.label, row.text) == ("POSITIVE", "good")

    with pytest.raises(BadData, match=r"file:1: bad_header: columns \['class', 'sentence'\]"):
        parsed(b"class\tsentence\n1\tgood\n", "sst2_tsv", header=True)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[1, 2]", "bad_json"),
        (b'{"id": "1", "label": "pos"}', "bad_field_count"),
        (b'{"id": "1", "label": "pos", "text": null}', "empty_text"),
        (b'{"id": "1", "label": null, "text": "x"}', "unknown_label"),
        (b'{"id": "1", "label": "pos", "text": ["x"]}', "bad_json"),
        (b'{"id": "1", "label": "pos", "text": "\\ud800"}', "bad_json"),
        (b"[" * 100_000, "bad_json"),
        (b"   ", "blank"),
    ],
)
def test_json_that_is_no_row_has_a_reason(line, reason):
    (drop,) = parsed(line, "jsonl")

    assert drop[:2] == (1, reason)


def test_an_id_of_a_distrusted_row_is_free_again():
    content = b"1 ::: T ::: drama ::: x\n1 ::: T ::: war ::: y\n2 ::: T ::: comedy ::: x\n"

    tally, rows = cleaned(content, "genre")

    assert tally.first_lines == {"conflicting_label": [1, 3]}
    assert [row.line for row in rows] == [2]


def test_one_class_is_named():
    tally, _ = cleaned(b"good\t1\nfine\t1\n", "sst2_tsv")

    with pytest.raises(BadData, match="one_class: all 2 rows that are left of 2 are 'POSITIVE'"):
        check([tally], 1.0)


@given(
    st.lists(st.text(max_size=40).map(lambda t: t.replace("\n", " ")), max_size=30),
    st.sampled_from(["genre", "sst2_tsv", "jsonl"]),
)
def test_no_line_vanishes_uncounted(texts, shape):
    content = "\n".join(texts).encode()

    tally, rows = cleaned(content, shape)

    lines = sum(1 for _ in io.BytesIO(content))
    assert len(rows) + sum(tally.dropped.values()) + tally.blank == lines


@given(
    st.lists(
        st.tuples(st.sampled_from(["drama", "war", "x"]), st.text("ab \u200b:", max_size=5)),
        max_size=30,
    )
)
def test_every_text_that_stays_is_there_once(pairs):
    content = "".join(f"{i % 7} ::: T ::: {g} ::: {t}\n" for i, (g, t) in enumerate(pairs))

    tally, rows = cleaned(content.encode(), "genre")

    assert len({row.text for row in rows}) == len({row.id for row in rows}) == len(rows)
    assert tally.rows == len(pairs)
