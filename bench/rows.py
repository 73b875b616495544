"""Rows for the benches, stored as `ingest` stores them."""

import gzip
import json
from pathlib import Path

from tasks import classifiers
from tasks.data import fetch, prepare

Rows = list[tuple[str, str]]


def snapshot(name: str, source: str, folder: Path, rows: int, test_size: int) -> tuple[str, ...]:
    """Put a snapshot for the classifier into the folder; its labels."""
    known = classifiers.load(name, Path("classifiers"))
    data = known.data.model_copy(update={"test_size": test_size})
    chosen = known.model_copy(update={"data": data})
    fetched = fetch.fn(chosen, source, str(folder))
    prepared = prepare.fn(chosen, source, fetched, str(folder), rows)
    (folder / "manifest.json").write_text(prepared.manifest.model_dump_json())
    return prepared.manifest.labels


def read(folder: Path, split: str) -> Rows:
    with gzip.open(folder / f"{split}.jsonl.gz", "rt") as lines:
        return [(row["text"], row["label"]) for row in map(json.loads, lines)]
