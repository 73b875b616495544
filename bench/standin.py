"""A small trained bundle for benches that were given none; made once, then kept."""

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from bench import jobs
from bench.rows import snapshot

# A head that was trained a little tells whether int8 changes answers; speed needs none of it.
_ROWS = 400
_OPTIONS = {
    "model-name": "offline",
    "max-length": 256,
    "num-train-epochs": 1,
    "per-device-train-batch-size": 16,
    "learning-rate": 2e-4,
}


def kept() -> Path:
    """Where benches keep what takes minutes to make; removing it costs only time."""
    return Path(".perennial/bench").absolute()


def bundle(source: str) -> Path:
    """The bundle that the code of today makes: when that changes, another one is trained."""
    code = hashlib.sha256(source.encode())
    for file in sorted(Path("training").glob("*.py")):
        code.update(file.read_bytes())
    folder = kept() / f"bundle-{code.hexdigest()[:12]}"
    if not (folder / "manifest.json").is_file():
        print(f"training a bundle on {_ROWS} rows, minutes, once: {folder}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as name:
            snapshot("news", source, Path(name), _ROWS, test_size=1_000)
            trained, _ = jobs.train(Path(name), _OPTIONS)
            partial = kept() / f"partial-{os.getpid()}"
            shutil.copytree(trained, partial)
            partial.rename(folder)
    return folder
