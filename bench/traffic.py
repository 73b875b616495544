"""The request stream: real texts of mixed length, in an order that is the same at every run."""

import csv
import gzip
import os
import random
from dataclasses import dataclass
from pathlib import Path

from tasks.policy import samples

_CLASSES = ("World", "Sports", "Business", "Sci/Tech")
_SAMPLE = "sample://news?rows=4000&seed=3"


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    label: str


def source() -> str:
    """News to train on: real ones where there are any, generated ones elsewhere."""
    real = _home() / "ag_news"
    return str(real) if real.is_dir() else _SAMPLE


def stream(most: int) -> list[str]:
    """Half news, the rest film reviews (short) and film plots (long)."""
    home = _home()
    if not (home / "ag_news").is_dir():
        return [one.text for one in labelled(most)]
    parts = (([one.text for one in _news(home)], 0.5), (_reviews(home), 0.3), (_plots(home), 0.2))
    chosen = [text for texts, share in parts for text in texts[: round(most * share)]]
    random.Random(7).shuffle(chosen)  # nosec B311
    return chosen


def labelled(most: int) -> list[Text]:
    """News that nothing was trained on, with their right labels."""
    if (_home() / "ag_news").is_dir():
        return _news(_home())[:most]
    return [Text(*row) for row in samples.generate(samples.asked(_SAMPLE), most, "test")]


def _home() -> Path:
    return Path(os.environ.get("PERENNIAL_SHARED_DATA", "../shared/data"))


def _news(home: Path) -> list[Text]:
    with gzip.open(home / "ag_news" / "test_a.csv.gz", "rt", encoding="utf-8") as lines:
        return [Text(" ".join(row[1:]), _CLASSES[int(row[0]) - 1]) for row in csv.reader(lines)]


def _reviews(home: Path) -> list[str]:
    return [line.rpartition("\t")[0] for line in _lines(home / "sst2" / "dev.tsv.gz")]


def _plots(home: Path) -> list[str]:
    return [line.split(" ::: ")[-1] for line in _lines(home / "genre" / "test_data.txt.gz")]


def _lines(file: Path) -> list[str]:
    if not file.is_file():
        return []
    with gzip.open(file, "rt", encoding="utf-8", newline="\n") as lines:
        return [line.rstrip("\r\n") for line in lines]
