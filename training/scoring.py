"""One bundle on the rows of a split: what it answers, how good that is and how long it takes."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from training import metrics
from training.bundle import Classifier, Prediction
from training.container import TrainingError
from training.data import Rows
from training.formats import Latency, ModelScore

_CHUNK = 256
_BATCH = 32
_CALLS, _WARM_UP = 100, 3
# A slow model is timed over fewer calls, so that timing never takes longer than scoring.
_TIMING_S, _FEWEST_CALLS = 20.0, 20


@dataclass(frozen=True, slots=True)
class Scored:
    """The score, and for each row the prediction and whether it was right."""

    score: ModelScore
    predictions: list[Prediction]
    right: list[bool]

    @property
    def answers(self) -> list[str]:
        return [prediction.label for prediction in self.predictions]

    @property
    def truncated(self) -> list[bool]:
        return [prediction.truncated for prediction in self.predictions]


def score(name: str, classifier: Classifier, rows: Rows, labels: Sequence[str]) -> Scored:
    """The bundle's score by the code that serves; `name` is said in the log."""
    started = time.perf_counter()
    found: list[Prediction] = []
    for start in range(0, len(rows.texts), _CHUNK):
        found += classifier.predict(rows.texts[start : start + _CHUNK])
        print(f"{name}: scored {len(found)}/{len(rows.texts)} rows", flush=True)
    took = time.perf_counter() - started
    confidences = [prediction.confidence for prediction in found]
    if wrong := [row for row, sure in enumerate(confidences) if not math.isfinite(sure)]:
        raise TrainingError(
            f"{name}: the confidence of {len(wrong)} answers is no number, first of test row"
            f" {wrong[0] + 1}; the weights of bundle {classifier.manifest.digest[:12]} are broken"
        )
    answers = [prediction.label for prediction in found]
    right = [answer == truth for answer, truth in zip(answers, rows.labels, strict=True)]
    bins = metrics.bins(confidences, right)
    measured = ModelScore(
        bundle_digest=classifier.manifest.digest,
        accuracy=metrics.accuracy(rows.labels, answers),
        macro_f1=metrics.macro_f1(rows.labels, answers),
        ece=metrics.calibration_error(bins),
        classes=metrics.per_class(rows.labels, answers, labels),
        confusion=metrics.confusion(rows.labels, answers, labels),
        latency=_timed(classifier, rows.texts, 1),
        rows_per_s=len(found) / took,
        batch_latency=_timed(classifier, rows.texts, min(_BATCH, len(rows.texts))),
        bins=bins,
    )
    print(
        f"{name}: accuracy {measured.accuracy:.4f} macro-F1 {measured.macro_f1:.4f}"
        f" ECE {measured.ece:.4f} {measured.rows_per_s:.1f} rows/s,"
        f" one text p95 {measured.latency.p95_ms:.1f} ms",
        flush=True,
    )
    return Scored(measured, found, right)


def _timed(classifier: Classifier, texts: Sequence[str], size: int) -> Latency:
    """Calls of `size` texts each, which are spread evenly through the split."""
    calls = min(_CALLS, len(texts) // size)
    steps = [len(texts) * call // calls for call in range(calls)]
    batches = [[texts[(start + step) % len(texts)] for step in range(size)] for start in steps]
    for batch in batches[:_WARM_UP]:
        classifier.predict(batch)
    times: list[float] = []
    for batch in batches:
        started = time.perf_counter()
        classifier.predict(batch)
        times.append((time.perf_counter() - started) * 1000)
        if sum(times) > _TIMING_S * 1000 and len(times) >= _FEWEST_CALLS:
            break
    return metrics.latency(times, size)
