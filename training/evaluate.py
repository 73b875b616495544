"""Score bundles on a frozen test split, in a processing job or by hand.

By hand: `python -m training.evaluate --challenger DIR --test DIR --output DIR [--champion DIR]`,
where a model is a bundle's folder or a folder with model.tar.gz. A champion of other labels cannot
be compared: it is left out and the log says so. A champion that cannot be read is an error.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training import bundle, data, embeddings, metrics
from training.bundle import Classifier
from training.container import JobEnvironment, TrainingError, reporting, write_atomically
from training.data import Rows
from training.formats import Answers, Evaluation, SnapshotManifest
from training.scoring import score
from training.slices import slices

_ARCHIVE = "model.tar.gz"


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
        evaluation = evaluate(places, Path(scratch))
        content = evaluation.model_dump_json(exclude_defaults=True).encode()
        write_atomically(places.output / "evaluation.json", content)


def evaluate(places: Places, scratch: Path) -> Evaluation:
    """Both models on the same rows, by the code that serves.

    The challenger's answers go to the output as the reference of the drift check.
    """
    manifest, rows = _read(places.test)
    folder = _unpacked(places.challenger, scratch / "challenger")
    new = Classifier.load(folder)
    labels = new.manifest.labels
    if unknown := sorted(set(rows.labels) - set(labels)):
        raise TrainingError(
            f"{places.test}: label {unknown[0]!r} is unknown to the challenger, which knows"
            f" {', '.join(labels)}"
        )
    champion = places.champion
    old = Classifier.load(_unpacked(champion, scratch / "champion")) if champion else None
    refused = _refused(old, labels)
    if refused:
        print(f"champion left out: {refused}", flush=True)
        old = None
    ours = score("challenger", new, rows, labels)
    theirs = score("champion", old, rows, labels) if old else None
    embeddings.write(places.output, folder, new.manifest, rows, ours.predictions)
    return Evaluation(
        classifier=manifest.classifier,
        snapshot_sha256=manifest.sha256,
        rows=len(rows.texts),
        labels=labels,
        challenger=ours.score,
        champion=theirs.score if theirs else None,
        paired=metrics.paired(ours.right, theirs.right) if theirs else None,
        answers=Answers(
            truth=_numbers(rows.labels, labels),
            challenger=_numbers(ours.answers, labels),
            champion=_numbers(theirs.answers, labels) if theirs else (),
        ),
        slices=slices(rows, ours.truncated, ours.right, theirs.right if theirs else None),
        champion_refused=refused,
    )


def _read(test: Path) -> tuple[SnapshotManifest, Rows]:
    manifest = data.read_manifest(test)
    rows = data.read_rows(test, manifest, "test")
    if not rows.texts:
        raise TrainingError(f"{test}: the test split is empty")
    return manifest, rows


def _refused(champion: Classifier | None, labels: Sequence[str]) -> str:
    """Why the champion cannot be compared; empty when it can."""
    if champion is None or set(champion.manifest.labels) == set(labels):
        return ""
    theirs = ", ".join(champion.manifest.labels)
    return f"its labels are {theirs}, the challenger's are {', '.join(labels)}"


def _numbers(names: Sequence[str], labels: Sequence[str]) -> tuple[int, ...]:
    number = {label: number for number, label in enumerate(labels)}
    return tuple(number[name] for name in names)


def _unpacked(folder: Path, scratch: Path) -> Path:
    if (folder / _ARCHIVE).is_file():
        bundle.unpack(folder / _ARCHIVE, scratch)
        return scratch
    return folder


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
