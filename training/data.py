"""Snapshots as rows, rows as batches of like length."""

import gzip
import hashlib
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from training.container import TrainingError
from training.formats import SnapshotManifest, Split
from training.tokens import TextEncoder

# Rows are shuffled, then sorted by length inside windows of this many batches.
_WINDOW = 50
# Above this ratio of the largest to the smallest class, rare classes weigh more in the loss.
_BALANCED = 3.0


@dataclass(frozen=True, slots=True)
class Rows:
    texts: list[str]
    labels: list[str]


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows as the model takes them."""

    ids: list[list[int]]
    labels: list[int]
    truncated: int

    def __len__(self) -> int:
        return len(self.ids)


def read_manifest(folder: Path) -> SnapshotManifest:
    file = folder / "manifest.json"
    if not file.is_file():
        raise TrainingError(f"{file}: missing; the data must be a snapshot that `ingest` wrote")
    try:
        return SnapshotManifest.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise TrainingError(f"{file}: not a snapshot manifest: {error.errors()[0]}") from error


def read_rows(folder: Path, manifest: SnapshotManifest, split: Split) -> Rows:
    """All rows of a split; every one counted, none guessed."""
    listed = manifest.files[split]
    file = folder / listed.name
    rows, digest = Rows([], []), hashlib.sha256()
    try:
        # As bytes, where LF alone ends a line: texts may hold other Unicode line ends.
        with gzip.open(file, "rb") as lines:
            for number, line in enumerate(lines, 1):
                digest.update(line)
                row = json.loads(line)
                if row["label"] not in manifest.labels:
                    raise TrainingError(
                        f"{file}: line {number}: label {row['label']!r} is not in the manifest"
                    )
                rows.texts.append(row["text"])
                rows.labels.append(row["label"])
    except FileNotFoundError as error:
        raise TrainingError(f"{file}: missing, the manifest lists it") from error
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        number = len(rows.texts) + 1
        raise TrainingError(f"{file}: line {number}: cannot be read: {error!r}") from error
    if len(rows.texts) != listed.rows:
        raise TrainingError(f"{file}: {len(rows.texts)} rows, the manifest says {listed.rows}")
    if digest.hexdigest() != listed.sha256:
        raise TrainingError(f"{file}: SHA-256 of its lines is not the one in the manifest")
    return rows


def training_rows(folder: Path, manifest: SnapshotManifest) -> tuple[Rows, Rows]:
    """The train and validation split; refuses data that nothing can be learned from."""
    train, validation = (
        read_rows(folder, manifest, "train"),
        read_rows(folder, manifest, "validation"),
    )
    for split, rows in (("train", train), ("validation", validation)):
        if not rows.texts:
            raise TrainingError(f"{folder}: the {split} split is empty")
    if len(set(train.labels)) < 2:
        raise TrainingError(f"{folder}: all {len(train.labels)} train rows are {train.labels[0]!r}")
    return train, validation


def encode(rows: Rows, labels: Sequence[str], encoder: TextEncoder) -> Examples:
    number = {label: index for index, label in enumerate(labels)}
    encoded = encoder(rows.texts)
    return Examples(
        ids=[one.ids for one in encoded],
        labels=[number[label] for label in rows.labels],
        truncated=sum(one.truncated for one in encoded),
    )


def batches(
    examples: Examples, size: int, *, seed: int, epoch: int, rank: int = 0, world: int = 1
) -> list[list[int]]:
    """One epoch's batches for one process, the same whenever asked again.

    Every process gets as many; the last ones are filled up from the start of the epoch.
    """
    chance = random.Random(f"{seed}/{epoch}")  # nosec B311 - a shuffle, not a secret
    order = list(range(len(examples)))
    chance.shuffle(order)
    window = size * _WINDOW
    by_length = [
        row
        for start in range(0, len(order), window)
        for row in sorted(order[start : start + window], key=lambda row: len(examples.ids[row]))
    ]
    cut = [by_length[start : start + size] for start in range(0, len(by_length), size)]
    chance.shuffle(cut)
    cut.extend(cut[index % len(cut)] for index in range(-len(cut) % world))
    return cut[rank::world]


def class_weights(labels: Sequence[int], classes: int) -> tuple[list[float], str]:
    """A weight in the loss for each class, and a sentence that says what was chosen.

    The inverse square root of the class's share: it helps rare classes without letting a
    handful of rows rule the gradient, which plain inverse shares do.
    """
    counts = Counter(labels)
    ratio = max(counts.values()) / min(counts.values())
    if ratio <= _BALANCED:
        return [1.0] * classes, f"class weights: none (largest/smallest class {ratio:.1f})"
    raw = [counts[index] ** -0.5 if counts[index] else 0.0 for index in range(classes)]
    mean = sum(raw[index] * count for index, count in counts.items()) / len(labels)
    return [weight / mean for weight in raw], (
        f"class weights: inverse square root of the counts (largest/smallest class {ratio:.1f})"
    )


def fingerprint(*parts: object) -> str:
    """A short name for a combination of inputs."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]
