"""Score bundles on a frozen test split, in a processing job or by hand.

By hand: `python -m training.evaluate --challenger DIR --test DIR --output DIR [--champion DIR]`,
where a model is a bundle's folder or a folder with model.tar.gz. A champion of other labels cannot
be compared: it is left out and the log says so. A champion that cannot be read is an error.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training import bundle, data, metrics
from training.bundle import Classifier, Prediction
from training.container import JobEnvironment, TrainingError, reporting, write_atomically
from training.data import Rows
from training.formats import Answers, Evaluation, ModelScore

_ARCHIVE = "model.tar.gz"
_CHUNK = 256
_LATENCY_ROWS = 100
_WARM_UP = 5


@dataclass(frozen=True, slots=True)
class Places:
    challenger: Path
    champion: Path | None
    test: Path
    output: Path
    failures: tuple[Path, ...]


def main(arguments: Sequence[str]) -> None:
    places = _places(arguments)
    for stale in places.failures:
        stale.unlink(missing_ok=True)
    with reporting(*places.failures), tempfile.TemporaryDirectory() as scratch:
        evaluation = evaluate(places.challenger, places.champion, places.test, Path(scratch))
        content = evaluation.model_dump_json(indent=1).encode()
        write_atomically(places.output / "evaluation.json", content)


def evaluate(challenger: Path, champion: Path | None, test: Path, scratch: Path) -> Evaluation:
    """Both models on the same rows, by the code that serves."""
    manifest = data.read_manifest(test)
    rows = data.read_rows(test, manifest, "test")
    if not rows.texts:
        raise TrainingError(f"{test}: the test split is empty")
    new = _load(challenger, scratch / "challenger")
    labels = new.manifest.labels
    if unknown := sorted(set(rows.labels) - set(labels)):
        raise TrainingError(
            f"{test}: label {unknown[0]!r} is unknown to the challenger, which knows"
            f" {', '.join(labels)}"
        )
    score, right, answers = _score("challenger", new, rows, labels)
    numbers = {label: number for number, label in enumerate(labels)}
    said = Answers(
        truth=tuple(numbers[label] for label in rows.labels),
        challenger=tuple(numbers[label] for label in answers),
    )
    evaluation = Evaluation(
        classifier=manifest.classifier,
        snapshot_sha256=manifest.sha256,
        rows=len(rows.texts),
        labels=labels,
        challenger=score,
        answers=said,
    )
    if champion is None:
        return evaluation
    old = _load(champion, scratch / "champion")
    if set(old.manifest.labels) != set(labels):
        print(
            f"champion left out: its labels are {', '.join(old.manifest.labels)}, the"
            f" challenger's are {', '.join(labels)}",
            flush=True,
        )
        return evaluation
    old_score, old_right, old_answers = _score("champion", old, rows, labels)
    champion_said = tuple(numbers[label] for label in old_answers)
    return evaluation.model_copy(
        update={
            "champion": old_score,
            "paired": metrics.paired(right, old_right),
            "answers": said.model_copy(update={"champion": champion_said}),
        }
    )


def _load(folder: Path, scratch: Path) -> Classifier:
    if (folder / _ARCHIVE).is_file():
        bundle.unpack(folder / _ARCHIVE, scratch)
        return Classifier.load(scratch)
    return Classifier.load(folder)


def _score(
    name: str, classifier: Classifier, rows: Rows, labels: Sequence[str]
) -> tuple[ModelScore, list[bool], list[str]]:
    """The score, and for each row whether the answer was right and what it was."""
    started = time.perf_counter()
    found: list[Prediction] = []
    for start in range(0, len(rows.texts), _CHUNK):
        found += classifier.predict(rows.texts[start : start + _CHUNK])
        print(f"{name}: scored {len(found)}/{len(rows.texts)} rows", flush=True)
    took = time.perf_counter() - started
    answers = [prediction.label for prediction in found]
    right = [answer == truth for answer, truth in zip(answers, rows.labels, strict=True)]
    score = ModelScore(
        bundle_digest=classifier.manifest.digest,
        accuracy=metrics.accuracy(rows.labels, answers),
        macro_f1=metrics.macro_f1(rows.labels, answers),
        ece=metrics.calibration_error([prediction.confidence for prediction in found], right),
        classes=metrics.per_class(rows.labels, answers, labels),
        confusion=metrics.confusion(rows.labels, answers, labels),
        latency=metrics.latency(_single_ms(classifier, rows.texts)),
        rows_per_s=len(found) / took,
    )
    print(
        f"{name}: accuracy {score.accuracy:.4f} macro-F1 {score.macro_f1:.4f} ECE {score.ece:.4f}"
        f" {score.rows_per_s:.1f} rows/s, one text p95 {score.latency.p95_ms:.1f} ms",
        flush=True,
    )
    return score, right, answers


def _single_ms(classifier: Classifier, texts: Sequence[str]) -> list[float]:
    """Milliseconds for one text at a time, over rows spread evenly through the split."""
    sample = texts[:: -(-len(texts) // _LATENCY_ROWS)]
    for text in sample[:_WARM_UP]:
        classifier.predict([text])
    times = []
    for text in sample:
        started = time.perf_counter()
        classifier.predict([text])
        times.append((time.perf_counter() - started) * 1000)
    return times


def _places(arguments: Sequence[str]) -> Places:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("--challenger", type=Path)
    parser.add_argument("--champion", type=Path)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args(arguments)
    by_hand = (given.challenger, given.test, given.output)
    if all(by_hand):
        failures = (given.output / "failure",)
        return Places(given.challenger, given.champion, given.test, given.output, failures)
    if any((*by_hand, given.champion)):
        parser.error("--challenger, --test and --output go together")
    base = JobEnvironment.read().SAGEMAKER_BASE_DIR
    inputs = base / "processing" / "input"
    champion = inputs / "champion"
    return Places(
        challenger=inputs / "challenger",
        champion=champion if champion.is_dir() else None,
        test=inputs / "test",
        output=base / "processing" / "output" / "evaluation",
        # A processing job's exit message is read from `message`.
        failures=(base / "output" / "failure", base / "output" / "message"),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
