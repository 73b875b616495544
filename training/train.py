"""Train a classifier: `python -m training.train`, in SageMaker's container or by hand.

By hand: `python -m training.train --data-path SNAPSHOT --output-path DIR [--model-name ...]`.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training import base, bundle, data, quantise
from training.checkpoints import Checkpoints
from training.container import (
    Hyperparameters,
    JobEnvironment,
    Places,
    read_config,
    reporting,
    write_atomically,
)
from training.formats import BundleManifest, SnapshotManifest
from training.loop import Loop, steps_per_epoch
from training.processes import Precision, Process, joined, spread
from training.quantise import Built
from training.steps import Learner
from training.tokens import TextEncoder
from training.tracking import Run, tracked


def main(arguments: Sequence[str]) -> None:
    given = _parse(arguments)
    environment = JobEnvironment.read()
    if given.data_path:
        places = Places.by_hand(given.data_path, given.output_path, given.checkpoint_path)
    else:
        places = Places.in_container(environment)
    if environment.RANK is None:
        places.failure.unlink(missing_ok=True)
    with reporting(places.failure):
        spread(environment, arguments)
        with joined(environment) as process:
            _train(given, environment, places, process)


def _train(
    given: argparse.Namespace, environment: JobEnvironment, places: Places, process: Process
) -> None:
    options = _options(given, environment)
    manifest = data.read_manifest(places.data)
    source = base.find(options.model_name, places.base_model)
    identity = data.fingerprint(options.by_key(), manifest.sha256, process.world)
    job_name = environment.job_name or f"by-hand-{identity}"
    if not process.first:
        _learn(given, options, manifest, places, process, source, identity, Run(None))
        return
    with tracked(environment, job_name, options, manifest) as run:
        loop, model, tokenizer, built = _learn(
            given, options, manifest, places, process, source, identity, run
        )
        best = loop.position.best
        values = {"accuracy": best.accuracy, "macro_f1": best.macro_f1}
        written = bundle.write(
            places.model,
            model,
            tokenizer,
            classifier=environment.CLASSIFIER or manifest.classifier,
            task=environment.TASK,
            base_model=options.model_name,
            labels=manifest.labels,
            max_length=options.max_length,
            hyperparameters=options.by_key(),
            metrics=values,
            snapshot_sha256=manifest.sha256,
            git_sha=environment.GIT_SHA,
            job_name=job_name,
            built=built,
        )
        _publish(places, written, loop, run)


def _learn(
    given: argparse.Namespace,
    options: Hyperparameters,
    manifest: SnapshotManifest,
    places: Places,
    process: Process,
    source: str,
    identity: str,
    run: Run,
) -> tuple[Loop, Any, Any, Built]:
    train, validation = data.training_rows(places.data, manifest)
    model, tokenizer = base.load(source, manifest.labels, options.max_length, options.seed)
    encoder = TextEncoder(tokenizer.backend_tokenizer, options.max_length)
    rows = data.encode(train, manifest.labels, encoder)
    held_out = data.encode(validation, manifest.labels, encoder)
    weights, why = data.class_weights(rows.labels, len(manifest.labels))
    precision = Precision.choose(process.device, given.precision)
    steps = steps_per_epoch(len(rows), options, process) * options.num_train_epochs
    if process.first:
        print(
            f"training {options.model_name} on {len(rows)} rows, {len(held_out)} for validation,"
            f" {rows.truncated} cut to {options.max_length} tokens; {precision.name} on"
            f" {process.device}, {process.world} processes, {steps} steps; {why}",
            flush=True,
        )
    learner = Learner(model, options, weights, process, precision, steps)
    checkpoints = None
    if places.checkpoints:
        checkpoints = Checkpoints(places.checkpoints, identity, given.checkpoint_seconds)
    loop = Loop(learner, rows, held_out, options, process, checkpoints, run.epoch)
    loop.run()
    model.to("cpu")
    built = quantise.build(model, rows, held_out, options.max_length) if process.first else Built()
    return loop, model, tokenizer, built


def _publish(places: Places, written: BundleManifest, loop: Loop, run: Run) -> None:
    """Metrics and manifest beside the bundle, where the flow reads them without its weights."""
    run.result(written.metrics, {"bundle_digest": written.digest})
    best, position = loop.position.best, loop.position
    final: dict[str, Any] = {
        **written.metrics,
        "run_id": run.run_id,
        "bundle_digest": written.digest,
        "best_epoch": best.epoch,
        "steps": position.step,
        "rows_per_s": round(loop.rows_per_s, 2),
        "curve": [asdict(score) for score in position.curve],
    }
    write_atomically(places.output / "metrics.json", json.dumps(final, indent=1).encode())
    write_atomically(places.output / bundle.MANIFEST, written.to_bytes())
    print(
        f"best epoch {best.epoch}: accuracy {best.accuracy:.4f} macro-F1 {best.macro_f1:.4f}"
        f" after {position.step} steps at {loop.rows_per_s:.1f} rows/s;"
        f" bundle {written.digest[:12]} in {places.model}",
        flush=True,
    )


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["train"], help="SageMaker says it; ignored")
    parser.add_argument("--data-path", type=Path, help="folder of a snapshot")
    parser.add_argument("--output-path", type=Path, help="folder for model/ and data/")
    parser.add_argument("--checkpoint-path", type=Path, help="resume from here; by hand only")
    parser.add_argument("--checkpoint-seconds", type=float, default=30.0)
    parser.add_argument("--precision", choices=["auto", "fp32"], default="auto")
    for field in Hyperparameters.model_fields.values():
        parser.add_argument(f"--{field.alias}", help=field.description, dest=field.alias)
    given = parser.parse_args(arguments)
    if (given.data_path is None) != (given.output_path is None):
        parser.error("--data-path and --output-path go together")
    return given


def _options(given: argparse.Namespace, environment: JobEnvironment) -> Hyperparameters:
    """The job's hyperparameters.json, or the defaults by hand; an option wins over both."""
    values: dict[str, Any] = {}
    if not given.data_path:
        values = read_config(environment.SAGEMAKER_BASE_DIR, "hyperparameters")
    keys = [field.alias for field in Hyperparameters.model_fields.values() if field.alias]
    typed = {key: getattr(given, key) for key in keys if getattr(given, key) is not None}
    return Hyperparameters.read({**values, **typed})


if __name__ == "__main__":
    main(sys.argv[1:])
