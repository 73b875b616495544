"""The fixture `tiny`: a classifier whose real training takes seconds, with its data in S3."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

LABELS = ("World", "Sports", "Business", "Sci/Tech")
DATA, MODELS = "perennial-data-test", "perennial-models-test"
BASE = f"s3://{MODELS}/base/tiny"
FILE = """
name = "tiny"
registered_model = "{model}"
task = "news-topic"

[data]
source = "sample://news"
labels = ["World", "Sports", "Business", "Sci/Tech"]

[data.files]
format = "csv"
columns = ["label", "text"]
label = "label"
text = ["text"]
train = "train.csv"

[training]
max_runtime_s = 300

[training.hyperparameters]
model-name = "{base}"
max-length = 32
num-train-epochs = 1
per-device-train-batch-size = 16
learning-rate = 1e-3
warmup-steps = 0

[gates]
minimum_rows = 20
accuracy = {accuracy}
accuracy_target = 0.0
"""


class Tiny:
    """The classifier `tiny`; every test has a registered model of its own, jobs are shared."""

    name = "tiny"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = f"tiny-{uuid4().hex[:12]}"
        self.floor(0.0)

    def floor(self, accuracy: float) -> None:
        """What accuracy the gate asks for from now on."""
        text = FILE.format(model=self.model, base=BASE, accuracy=accuracy)
        (self.folder / "tiny.toml").write_text(text)


def _rows(count: int, part: str, flipped: float) -> list[tuple[str, str]]:
    words = ("war talks", "cup match", "stock market", "software web")
    chance = random.Random(part)
    moved = [chance.random() < flipped for _ in range(count)]
    return [(f"{part} {words[at % 4]} {at}", LABELS[(at + moved[at]) % 4]) for at in range(count)]


def write_snapshot(client: Any, folder: Path, flipped: float = 0) -> Any:
    """A snapshot in S3, a share of its labels wrong."""
    from tasks.adapters import snapshots
    from training.formats import SnapshotManifest

    counts = {"train": 96, "validation": 24, "test": 60}
    rows = {part: _rows(count, part, flipped) for part, count in counts.items()}
    files = {part: snapshots.pack(folder, part, found) for part, found in rows.items()}  # type: ignore[arg-type]
    manifest = SnapshotManifest(
        classifier="tiny",
        sha256=snapshots.content_sha256(LABELS, files),  # type: ignore[arg-type]
        labels=LABELS,
        files=files,  # type: ignore[arg-type]
        source="sample://news",
        rows_read=180,
        dropped={},
    )
    return snapshots.write(client, DATA, manifest, folder)


def put_base(client: Any, folder: Path) -> str:
    """The base model in S3; its URI."""
    for file in folder.iterdir():
        client.upload_file(str(file), MODELS, f"base/tiny/{file.name}")
    return BASE


@pytest.fixture(scope="session")
def tiny_base(tiny_bundle: Callable[..., Path]) -> Path:
    return tiny_bundle(seed=1)


@pytest.fixture
def tiny(
    sandbox: Any,
    settings_env: None,
    mlflow_server: str,
    warm_jobs: None,
    tiny_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Tiny:
    from tasks.adapters import aws, snapshots

    sandbox.clear_faults()
    s3 = aws.client("s3")
    put_base(s3, tiny_base)
    snapshots.remember(s3, DATA, write_snapshot(s3, tmp_path))
    monkeypatch.setenv("PERENNIAL_CLASSIFIERS_DIR", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    sandbox.clear_calls()
    return Tiny(tmp_path)
