from pathlib import Path

import pytest

from tasks import classifiers
from tasks.policy.cleaning import Clean
from tasks.policy.quality import cut, lengths
from tasks.policy.quality_page import page
from tasks.policy.splits import Chosen
from tasks.policy.tallies import Tally

NEWS = classifiers.load("news", Path(__file__).resolve().parents[3] / "classifiers")
ROWS: Chosen = {
    "train": [("one two three", "World"), ("é " * 400, "Sports"), ("four", "Sports")],
    "validation": [("five six", "World")],
    "test": [("seven", "World")],
}


def test_lengths_are_percentiles_of_the_rows_that_are_used():
    found = lengths(ROWS)

    assert found.words == {50: 2, 90: 401, 95: 401, 99: 401, 100: 401}
    assert found.non_ascii == 0.2


def test_cut_texts_are_counted_by_the_tokenizer_and_else_estimated():
    texts = ["ab", "abcdefgh", "a b c d e f g h"]

    assert cut(texts, "base", 8, len, "base").share == pytest.approx(1 / 3)
    assert cut(texts, "base", 8, len, "base").how == "counted with the tokenizer of base"
    assert cut(texts, "base", 8, len, "MiniLM").how.endswith(
        "as the one of base could not be had here"
    )
    assert cut(texts, "base", 8).share == pytest.approx(1 / 3)
    assert (
        cut(texts, "base", 8).how
        == "estimated from words, as no tokenizer of base could be had here"
    )


def test_a_share_is_told_over_a_sample_when_there_are_many_texts():
    assert cut(["a"] * 5000, "base", 8).rows == 2000


def test_the_page_shows_files_drops_classes_and_notes():
    tally = Tally("train.csv", blank=2, kept={"World": 1, "Sports": 2})
    tally.dropped, tally.first_lines = {"empty_text": 1}, {"empty_text": [7]}
    tally.missing = {"description": 1}
    found = Clean(ROWS, (tally,), ("test holds no row of Sports",), {split: [] for split in ROWS})
    cuts = cut([text for text, _ in ROWS["train"]], "base", 512)

    text = page(NEWS, "../rows", found, cuts, "![picture](quality.png)")

    assert "| `train.csv` | 4 | 3 | 1 | 25.00% | 2 |" in text
    assert "| empty_text | `train.csv` | 1 | 7 |" in text
    assert "| file | label | title | description |" in text
    assert "| `train.csv` | 0 | 0 | 1 (25.00%) |" in text
    assert "| Sports | 2 (66.7%) | 0 (0.0%) | 0 (0.0%) |" in text
    assert "| **all** | **3** | **1** | **1** |" in text
    assert "- test holds no row of Sports" in text
    assert "**33.3%** of 3 training texts are longer than max-length 512 tokens" in text
    assert "![picture](quality.png)" in text
