"""Sequences per second of a bundle's int8 engine beside torch fp32 on the same real texts.

Both are loaded by the code that serves, from a folder that a training job wrote, and take turns;
beside them stands the machine's fp32 matrix product of the same run, the limit of the fp32 engine.
"""

import argparse
import csv
import gzip
import statistics
import sys
import time
from pathlib import Path

import torch

from training import bundle
from training.bundle import Classifier
from training.engine import TorchEngine

GOAL = 2.0
LOSS = 0.005
LABELS = ("World", "Sports", "Business", "Sci/Tech")


def main() -> int:
    """Print the table; 1 with --check when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of an int8 bundle")
    parser.add_argument("--rows", type=Path, required=True, help="AG News test rows, .csv.gz")
    parser.add_argument("--most", type=int, default=400, help="rows to measure")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    manifest = bundle.verify(asked.bundle)
    if manifest.engine == "torch":
        parser.error(f"{asked.bundle}: its engine is torch: {manifest.engine_note}")
    torch.set_num_threads(asked.threads)
    began = time.perf_counter()
    fast = Classifier.load(asked.bundle, threads=asked.threads)
    print(f"{manifest.engine} loaded in {time.perf_counter() - began:.1f} s")
    precise = Classifier(manifest, fast._encoder, TorchEngine.load(asked.bundle, "cpu", None))
    texts, truth = read(asked.rows, asked.most)
    names = {"torch fp32": precise, manifest.engine: fast}
    single = {name: rate(each, texts[:16], 1) for name, each in names.items()}
    turns: dict[str, list[float]] = {name: [] for name in names}
    limits: list[float] = []
    for _ in range(3):
        limits.append(gemm())
        for name, each in names.items():
            turns[name].append(rate(each, texts[:64], 64))
    said = {name: [one.label for one in each.predict(texts)] for name, each in names.items()}
    right = {name: share(answers, truth) for name, answers in said.items()}
    print(f"{'':16}{'batch 1':>10}{'batch 32':>10}{'accuracy':>10}   sequences/s")
    for name in names:
        many = statistics.median(turns[name])
        print(f"{name:16}{single[name]:>10.1f}{many:>10.1f}{right[name]:>10.4f}")
    print(f"machine's fp32 GEMM: {statistics.median(limits):.0f} GFLOP/s, {asked.threads} threads")
    slow, quick = (statistics.median(turns[name]) for name in names)
    lost = right["torch fp32"] - right[manifest.engine]
    print(
        f"ratio {quick / slow:.2f} (goal {GOAL}), accuracy {-lost:+.4f} (floor -{LOSS}),"
        f" agreement {share(*said.values()):.4f} on {len(texts)} rows"
    )
    return 1 if asked.check and not (quick >= GOAL * slow and lost <= LOSS) else 0


def rate(classifier: Classifier, texts: list[str], size: int) -> float:
    classifier.predict(texts[:2])
    began = time.perf_counter()
    for start in range(0, len(texts), size):
        classifier.predict(texts[start : start + size])
    return len(texts) / (time.perf_counter() - began)


def gemm(size: int = 1024, times: int = 10) -> float:
    """GFLOP/s of one large fp32 matrix product."""
    one, other = torch.rand(size, size), torch.rand(size, size)
    one @ other
    began = time.perf_counter()
    for _ in range(times):
        one @ other
    return 2 * size**3 * times / (time.perf_counter() - began) / 1e9


def read(file: Path, most: int) -> tuple[list[str], list[str]]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [(" ".join(row[1:]), LABELS[int(row[0]) - 1]) for row in csv.reader(lines)][:most]
    return [text for text, _ in rows], [label for _, label in rows]


def share(some: list[str], others: list[str]) -> float:
    return sum(a == b for a, b in zip(some, others, strict=True)) / len(some)


if __name__ == "__main__":
    sys.exit(main())
