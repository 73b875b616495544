"""Real rows as small trained models answer them, for `bench.drift_quality`; made once, then kept.

Removing `.perennial/bench/drift-*` costs only the minutes to make it again.
"""

import csv
import gzip
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from bench import jobs
from bench.rows import Rows
from bench.standin import kept
from tasks import features
from tasks.adapters import snapshots
from tasks.policy import samples
from tasks.policy.signals import Features
from training import embeddings
from training.bundle import TOKENIZER, Classifier
from training.encoder import Encoder, TokenReader
from training.formats import SPLITS, SnapshotManifest
from training.reference import ReferenceRows

_NEWS = ("World", "Sports", "Business", "Sci/Tech")
_REVIEWS = ("negative", "positive")
_BATCH = 512
_MOST = 8_000  # answered of a set


@dataclass(frozen=True, slots=True)
class Trained:
    """A model: the rows it learned from, how many, and how."""

    rows: str
    count: int
    epochs: int
    max_length: int
    labels: tuple[str, ...]
    learning_rate: float = 2e-4


MODELS = {
    "news": Trained("news", 2000, 1, 64, _NEWS),
    "sample": Trained("sample", 800, 1, 64, _NEWS),
    "books": Trained("books", 1000, 2, 96, _REVIEWS, 1e-4),
    "electronics": Trained("electronics", 1000, 3, 128, _REVIEWS, 1e-4),
}


@dataclass(frozen=True)
class Model:
    """A trained model and the rows that it has not seen, as numbers."""

    name: str
    data: Path

    @property
    def trained(self) -> Trained:
        return MODELS[self.name]

    def features(self, rows: str) -> Features:
        """Every row of the set that the model did not learn from.

        With its true label, unless the set has other labels than the model.
        """
        found = self._answered(rows).rows
        strange = set(found["label_true"].to_pylist()) - set(self.trained.labels)
        if strange:
            at = found.schema.get_field_index("label_true")
            found = found.set_column(at, "label_true", found["label"])
        numbers = features.of_reference(found, self.encoder, self.trained.labels)
        return replace(numbers, truth=None) if strange else numbers

    @cached_property
    def encoder(self) -> Encoder:
        """As the evaluation job makes it, from the model's own held-back rows."""
        tokenizer = (self._bundle / TOKENIZER).read_text("utf-8")
        texts = self._answered(self.trained.rows).rows["text"].to_pylist()[:2000]
        tokens = TokenReader(tokenizer)(texts)
        table = embeddings.projected(embeddings.token_table(self._bundle), tokens)
        return Encoder(table, TokenReader(tokenizer))

    @cached_property
    def _bundle(self) -> Path:
        folder = kept() / f"drift-{self.name}"
        if not (folder / "manifest.json").is_file():
            print(f"training {self.name}, minutes, once: {folder}", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory() as name:
                trained = _train(self.trained, self.data, Path(name))
                partial = kept() / f"partial-{os.getpid()}"
                shutil.copytree(trained, partial)
                partial.rename(folder)
        return folder

    def _answered(self, rows: str) -> ReferenceRows:
        file = kept() / f"drift-{self.name}-{rows}.parquet"
        if not file.is_file():
            own = rows == self.trained.rows
            found = read(rows, self.data)[self.trained.count if own else 0 :][:_MOST]
            answered = _answers(self._bundle, found)
            file.write_bytes(answered.to_bytes())
        return ReferenceRows.from_bytes(file.read_bytes())


def read(name: str, data: Path) -> Rows:
    """Each different text of the set once, in an order that never changes."""
    found = dict(_read(name, data))
    rows = sorted(found.items())
    random.Random(4).shuffle(rows)
    return rows


def _read(name: str, data: Path) -> Iterator[tuple[str, str]]:
    if name.startswith("sample"):
        yield from samples.generate(
            samples.SampleSet("news", drifted=name == "sample-drifted"), 8000, "train"
        )
    elif name == "news":
        for file in ("train.csv.gz", "test_a.csv.gz"):
            with gzip.open(data / "ag_news" / file, "rt", encoding="utf-8", newline="") as lines:
                for label, title, text in csv.reader(lines):
                    yield f"{title} {text}", _NEWS[int(label) - 1]
    else:
        for part in ("train", "test"):
            file = f"{name}.{part}.tsv.gz"
            packed = (data / "reviews_mtl" / file).read_bytes()
            for line in gzip.decompress(packed).decode("utf-8", "replace").split("\n"):
                if line:
                    label, text = line.split("\t", 1)
                    yield text, _REVIEWS[int(label)]


def _train(trained: Trained, data: Path, folder: Path) -> Path:
    rows = read(trained.rows, data)[: trained.count]
    cut = trained.count // 10
    parts = {"train": rows[2 * cut :], "validation": rows[:cut], "test": rows[cut : 2 * cut]}
    files = {split: snapshots.pack(folder, split, parts[split]) for split in SPLITS}
    manifest = SnapshotManifest(
        classifier="drift",
        sha256=snapshots.content_sha256(trained.labels, files),
        labels=trained.labels,
        files=files,
        source=trained.rows,
        rows_read=len(rows),
        dropped={},
    )
    (folder / "manifest.json").write_bytes(manifest.to_bytes())
    options = {
        "model-name": "offline",
        "max-length": trained.max_length,
        "num-train-epochs": trained.epochs,
        "per-device-train-batch-size": 16,
        "learning-rate": trained.learning_rate,
    }
    return jobs.train(folder, options)[0]


def _answers(bundle: Path, rows: Rows) -> ReferenceRows:
    model = Classifier.load(bundle)
    texts = [text for text, _ in rows]
    found = [
        answer
        for start in range(0, len(texts), _BATCH)
        for answer in model.predict(texts[start : start + _BATCH])
    ]
    return embeddings.answered(texts, [label for _, label in rows], found, model.manifest)
