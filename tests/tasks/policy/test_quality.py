from pathlib import Path

from tasks import classifiers
from tasks.policy.quality import lengths, page
from tasks.policy.rows import Tally
from tasks.policy.splits import Chosen

NEWS = classifiers.load("news", Path(__file__).resolve().parents[3] / "classifiers")
ROWS: Chosen = {
    "train": [("one two three", "World"), ("é " * 400, "Sports"), ("four", "Sports")],
    "validation": [("five six", "World")],
    "test": [("seven", "World")],
}


def test_lengths_are_percentiles_of_the_rows_that_are_used():
    found = lengths(ROWS, max_length=512)

    assert found.words == {50: 2, 90: 401, 95: 401, 99: 401, 100: 401}
    assert (found.non_ascii, found.cut) == (0.2, 0.2)


def test_the_page_shows_files_drops_classes_and_notes():
    tally = Tally("train.csv", blank=2, kept={"World": 1, "Sports": 2})
    tally.dropped, tally.first_lines = {"empty_text": 1}, {"empty_text": [7]}

    text = page(NEWS, "../rows", [tally], ROWS, ["test holds no row of Sports"])

    assert "| `train.csv` | 4 | 3 | 1 | 25.00% | 2 |" in text
    assert "| empty_text | `train.csv` | 1 | 7 |" in text
    assert "| Sports | ████████ 2 (66.7%) |  0 (0.0%) |  0 (0.0%) |" in text
    assert "| **all** | **3** | **1** | **1** |" in text
    assert "- test holds no row of Sports" in text
