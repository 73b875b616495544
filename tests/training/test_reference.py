import pytest
from plugins.references import answers, reference, table, tokenizer

from training import encoder
from training.encoder import Encoder
from training.reference import ReferenceRows


def test_rows_come_back_as_they_were_written():
    rows = reference(20)

    found = ReferenceRows.from_bytes(rows.to_bytes())

    assert found.rows.equals(rows.rows)
    assert (found.bundle_digest, found.labels) == (rows.bundle_digest, rows.labels)
    assert rows.to_bytes() == reference(20).to_bytes()


def test_lone_surrogate_becomes_a_question_mark():
    said = answers(1)

    found = ReferenceRows.of({**said, "text": ["a\ud800b"], "label_true": ["x"]}, "d", "abcd")

    assert found.rows["text"].to_pylist() == ["a?b"]


@pytest.mark.parametrize(
    "content",
    [b"", b"PAR1", reference(20).to_bytes()[:-40], reference(0).to_bytes()],
    ids=["empty", "head only", "cut short", "no rows"],
)
def test_broken_rows_are_refused_by_name(content):
    with pytest.raises(ValueError, match=r"reference\.parquet"):
        ReferenceRows.from_bytes(content)


@pytest.mark.parametrize(
    ("text", "packed", "named"),
    [
        (tokenizer(), b"PK\x03\x04", r"encoder\.npz"),
        (tokenizer(), encoder.pack(table())[:-30], r"encoder\.npz"),
        (tokenizer(), encoder.pack(table()[:5]), r"encoder\.npz: a table of \(5, 8\)"),
        ("{}", encoder.pack(table()), r"tokenizer\.json"),
    ],
    ids=["no archive", "cut short", "other vocabulary", "no tokenizer"],
)
def test_broken_encoder_is_refused_by_name(text, packed, named):
    with pytest.raises(ValueError, match=named):
        Encoder.of(text, packed)
