"""Evaluations and verdicts as plain values, for what shows or judges them."""

from collections.abc import Sequence
from typing import Any

from tasks.records import ModelVersion, Outcome, Verdict
from training.formats import Bin, ClassScore, Evaluation, Latency, ModelScore, Slice

ONE = Latency(p50_ms=10, p95_ms=20, p99_ms=30, calls=100)
BATCH = Latency(p50_ms=110, p95_ms=120, p99_ms=130, calls=60, texts=32)
VERSION = ModelVersion(
    *("news", "bert-news", "7", "run1", "s3://models/job-7/output/model.tar.gz"),
    *("d" * 64, "5" * 64, "job-7"),
)


def scored(
    labels: Sequence[str], rows: int = 100, share: float = 0.9, confidence: float = 0.9
) -> ModelScore:
    """`rows` rows of each class, `share` of them right, the others taken for the next class."""
    right = round(rows * share)
    size = len(labels)
    matrix = [[0] * size for _ in labels]
    for at in range(size):
        matrix[at][at] = right
        matrix[at][(at + 1) % size] += rows - right
    one = ClassScore(precision=share, recall=share, f1=share, support=rows)
    bins = [Bin(rows=0, confidence=0, accuracy=0)] * 15
    bins[13] = Bin(rows=rows * size, confidence=confidence, accuracy=share)
    return ModelScore(
        bundle_digest="d" * 64,
        accuracy=share,
        macro_f1=share,
        ece=abs(confidence - share),
        classes=dict.fromkeys(labels, one),
        confusion=tuple(map(tuple, matrix)),
        latency=ONE,
        rows_per_s=300,
        batch_latency=BATCH,
        bins=tuple(bins),
    )


def evaluated(labels: Sequence[str] = ("A", "B/C"), **changes: Any) -> Evaluation:
    score = changes.pop("challenger", None) or scored(labels)
    values: dict[str, Any] = {
        "classifier": "news",
        "snapshot_sha256": "5" * 64,
        "rows": sum(map(sum, score.confusion)),
        "labels": labels,
        "challenger": score,
        "slices": (
            Slice(name="short", rule="shortest tenth", rows=120, adequate=True, right=80),
            Slice(name="truncated", rule="cut", rows=20, adequate=False, right=18),
            Slice(name="rare classes", rule="none", rows=0, adequate=False, right=0),
        ),
    }
    return Evaluation(**values | changes)


def judged(outcome: Outcome = Outcome.PASS, **changes: Any) -> Verdict:
    values: dict[str, Any] = {
        "outcome": outcome,
        "reasons": ("accuracy 0.900 >= 0.850",),
        "numbers": {"difference_low": 0.0123},
        "classifier": "news",
        "version": "7",
        "bundle_digest": "d" * 64,
        "champion_digest": None,
        "snapshot_sha256": "5" * 64,
        "evaluation_uri": "s3://models/evaluations/e/evaluation.json",
    }
    return Verdict(**values | changes)
