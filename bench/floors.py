"""`training.train` on real rows beside TF-IDF + logistic regression on the very same rows.

A fine-tuned transformer that loses to a bag of words has learned nothing worth its price. The
rows are not part of this repository: AG News, SST-2 and the genre plots in the folders `ag_news`,
`sst2` and `genre` of PERENNIAL_SHARED_DATA (or ../shared/data). Takes about half an hour.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench import jobs, words
from bench.rows import read, snapshot
from training import metrics
from training.bundle import Classifier

Score = Callable[[list[str], list[str]], float]


@dataclass(frozen=True, slots=True)
class Case:
    """A data set, how MiniLM is trained on it, and what must be reached."""

    folder: str
    rows: int
    floor: float
    score: Score
    hyperparameters: dict[str, float]
    words: dict[str, object] = field(default_factory=dict)


_TWO_GRAMS = {"ngram_range": (1, 2), "min_df": 2, "sublinear_tf": True, "max_features": 200_000}
CASES = {
    "sentiment": Case(
        "sst2",
        7_000,
        0.799,
        metrics.accuracy,
        {"max-length": 64, "num-train-epochs": 3, "learning-rate": 1e-4},
        _TWO_GRAMS,
    ),
    "news": Case(
        "ag_news",
        10_000,
        0.895,
        metrics.accuracy,
        {"max-length": 64, "num-train-epochs": 1, "learning-rate": 2e-4},
        _TWO_GRAMS,
    ),
    "genre": Case(
        "genre",
        3_000,
        0.215,
        metrics.macro_f1,
        {"max-length": 64, "num-train-epochs": 6, "learning-rate": 4e-4},
        {"min_df": 2, "sublinear_tf": True},
    ),
}


def main() -> int:
    """Print a line for each set; 1 with --check when one misses its floor."""
    parser = argparse.ArgumentParser(description=__doc__)
    home = os.environ.get("PERENNIAL_SHARED_DATA", "../shared/data")
    parser.add_argument("sets", nargs="*", help=f"of {', '.join(CASES)}; all without a name")
    parser.add_argument("--data", type=Path, default=Path(home))
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    missed = []
    print(f"{'':12}{'train':>8}{'test':>8}{'floor':>8}{'TF-IDF':>8}{'ours':>8}{'rows/s':>8}")
    for name in asked.sets or CASES:
        case = CASES[name]
        with tempfile.TemporaryDirectory() as folder:
            line, ours = _run(name, case, asked.data / case.folder, Path(folder))
        print(f"{name:12}{line}", flush=True)
        if ours < case.floor:
            missed.append(name)
    print(f"under the floor: {', '.join(missed) or 'none'}")
    return 1 if asked.check and missed else 0


def _run(name: str, case: Case, data: Path, folder: Path) -> tuple[str, float]:
    labels = snapshot(name, str(data), folder, case.rows, test_size=10_000)
    train, test = read(folder, "train"), read(folder, "test")
    texts, truth = [text for text, _ in test], [label for _, label in test]
    by_words = words.answers(train, texts, case.words, balanced=len(labels) > 10)
    options = {"model-name": "offline", "per-device-train-batch-size": 16, **case.hyperparameters}
    bundle, rate = jobs.train(folder, options)
    answers = [one.label for one in Classifier.load(bundle).predict(texts)]
    ours = case.score(truth, answers)
    figures = f"{case.floor:>8.3f}{case.score(truth, by_words):>8.3f}{ours:>8.3f}{rate:>8.1f}"
    return f"{len(train):>8}{len(test):>8}{figures}", ours


if __name__ == "__main__":
    sys.exit(main())
