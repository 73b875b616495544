"""The training job of the benches, by hand and in a process of its own."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path


def train(folder: Path, options: Mapping[str, object]) -> tuple[Path, float]:
    """Train on the snapshot in the folder: where the bundle lies, and rows per second."""
    out = Path(tempfile.mkdtemp(prefix="out-", dir=folder))
    command = [sys.executable, "-m", "training.train", "--data-path", str(folder)]
    command += ["--output-path", str(out)]
    command += [part for key, value in options.items() for part in (f"--{key}", str(value))]
    rate = 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
        for line in job.stdout or ():
            if " done: " in line or line.startswith("best epoch"):
                print(line, end="", file=sys.stderr, flush=True)
            if line.startswith("best epoch"):
                rate = float(line.split(" rows/s")[0].rsplit(" ", 1)[1])
    if job.returncode:
        raise SystemExit(f"training failed: {out / 'failure'}")
    return out / "model", rate
