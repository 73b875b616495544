"""A snapshot to train on, and jobs as processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tasks.adapters import snapshots
from training.formats import SnapshotManifest

LABELS = ("World", "Sports", "Business", "Sci/Tech")
TOPICS = {
    "World": "president war peace talks",
    "Sports": "match team goal season player",
    "Business": "stock bank price shares profit",
    "Sci/Tech": "software web space phone science",
}
# What the machine that runs the tests may have set must not reach the job.
FOREIGN = ("MLFLOW_", "SM_", "SAGEMAKER_", "TRAINING_JOB", "RANK", "WORLD_SIZE", "CLASSIFIER")


def rows(count):
    """Generated rows whose topic words tell the label."""
    for number in range(count):
        label = LABELS[number % len(LABELS)]
        words = TOPICS[label].split()
        first, second = words[number % len(words)], words[(number // 4 + 1) % len(words)]
        yield f"the {first} and a {second} in the world {'game ' * (number % 7)}", label


def make_snapshot(folder, train=64, validation=16, test=24, labels=LABELS):
    """A folder as `ingest` writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"train": train, "validation": validation, "test": test}
    files = {split: snapshots.pack(folder, split, rows(size)) for split, size in sizes.items()}
    manifest = SnapshotManifest(
        classifier="news",
        sha256=snapshots.content_sha256(labels, files),
        labels=labels,
        files=files,
        source="sample://news",
        rows_read=sum(sizes.values()),
        dropped={},
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return folder


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {**kept, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1", **more}


def start(module, *arguments, **variables):
    """`python -m module` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        env=environment(**{name: str(value) for name, value in variables.items()}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def container(folder, data, base, **hyperparameters):
    """An /opt/ml below `folder`; returns it."""
    config = folder / "input" / "config"
    config.mkdir(parents=True)
    (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    channels = folder / "input" / "data"
    channels.mkdir()
    (channels / "training").symlink_to(data)
    if base is not None:
        (channels / "model").symlink_to(base)
    return folder
