import os
from functools import partial
from pathlib import Path

import pytest

from tasks import classifiers
from tasks.adapters.sources import lines
from tasks.classifiers import Data, Files
from tasks.errors import BadData
from tasks.policy.cleaning import Source, without_repeats
from tasks.policy.tallies import Tally

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("PERENNIAL_SHARED_DATA", ROOT.parent / "shared/data"))
NEWS, GENRE, SENTIMENT = (
    classifiers.load(name, ROOT / "classifiers").data for name in ("news", "genre", "sentiment")
)
IMDB = Files(
    format="jsonl",
    columns=("id", "label", "rating", "movie", "text"),
    id="id",
    label="label",
    text=("text",),
    train="train.jsonl*",
    codes={"neg": "NEGATIVE", "pos": "POSITIVE"},
)
IMDB_DROPS = {"duplicate_text": 78, "control_char": 2}
REVIEWS = SENTIMENT.files.model_copy(update={"columns": ("label", "sentence")})

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"no shared data at {DATA}; set PERENNIAL_SHARED_DATA"
)


def tallied(file: str, files: Files, data: Data) -> Tally:
    tally = Tally(file)
    (found,) = without_repeats([Source(file, partial(lines, DATA / file))], files, data)
    for _ in tally.keeps(found):
        pass
    return tally


@pytest.mark.parametrize(
    ("file", "files", "data", "rows", "dropped"),
    [
        ("ag_news/train.csv.gz", NEWS.files, NEWS, 19_962, {}),
        ("ag_news/test_a.csv.gz", NEWS.files, NEWS, 3_800, {}),
        ("genre/train_data.txt.gz", GENRE.files, GENRE, 2_110, {}),
        ("genre/test_data_solution.txt.gz", GENRE.files, GENRE, 1_500, {}),
        ("sst2/train.tsv.gz", SENTIMENT.files, SENTIMENT, 6_920, {"duplicate_row": 9}),
        ("sst2/dev.tsv.gz", SENTIMENT.files, SENTIMENT, 872, {}),
        ("imdb/train.jsonl.gz", IMDB, SENTIMENT, 19_786, IMDB_DROPS),
        ("imdb/dev.jsonl.gz", IMDB, SENTIMENT, 5_202, {"duplicate_text": 6}),
        ("reviews_mtl/software.train.tsv.gz", REVIEWS, SENTIMENT, 1_515, {"duplicate_row": 152}),
        ("reviews_mtl/software.test.tsv.gz", REVIEWS, SENTIMENT, 400, {"duplicate_row": 7}),
    ],
)
def test_real_files_have_the_rows_that_are_stated(file, files, data, rows, dropped):
    tally = tallied(file, files, data)

    assert tally.rows == rows
    assert tally.dropped == dropped


def test_the_real_encoding_fault_is_found():
    with pytest.raises(BadData, match=r"dvd\.train\.tsv\.gz:905: bad_encoding"):
        tallied("reviews_mtl/dvd.train.tsv.gz", REVIEWS, SENTIMENT)
