"""Training that was interrupted goes on from its last whole checkpoint."""

import hashlib
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from training.container import TrainingError

_SECONDS = 30.0
_KEPT = 2

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    position: dict[str, Any]
    model: Weights
    best: Weights | None
    optimizer: dict[str, Any]


class Checkpoints:
    """The checkpoints of one job in one folder; a half-written one is never used.

    Host and S3 copies may be cut off anywhere, so each checkpoint lists its files' hashes.
    """

    def __init__(self, folder: Path, fingerprint: str, seconds: float = _SECONDS) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._pause = self._seconds = seconds
        self._last = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def due(self) -> bool:
        return time.monotonic() - self._last >= self._pause

    def save(
        self, position: dict[str, Any], model: Weights, best: Weights | None, optimizer: Any
    ) -> None:
        """Write one, then forget all but the newest two."""
        started = time.monotonic()
        partial = self._folder / ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        save_file(model, partial / "model.safetensors")
        if best is not None:
            save_file(best, partial / "best.safetensors")
        torch.save(optimizer, partial / "optimizer.pt")
        files = {file.name: _sha256(file) for file in partial.iterdir()}
        head = {"fingerprint": self._fingerprint, "position": position, "files": files}
        (partial / "checkpoint.json").write_text(json.dumps(head))
        place = self._place(position["step"])
        shutil.rmtree(place, ignore_errors=True)
        partial.rename(place)
        for old in self._places()[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        self._last = time.monotonic()
        # Never more than a twentieth of the time, however large the model.
        self._pause = max(self._seconds, 20 * (self._last - started)) if self._seconds else 0.0

    def newest(self) -> int:
        """The step of the newest whole checkpoint, 0 when there is none."""
        for place in reversed(self._places()):
            if self._read(place) is not None:
                return int(place.name.removeprefix("step-"))
            print(f"checkpoint {place.name} is not whole, trying the one before", flush=True)
        return 0

    def load(self, step: int) -> Checkpoint:
        place = self._place(step)
        head = self._read(place)
        if head is None:
            raise TrainingError(f"{place}: missing or not whole, another process resumes from it")
        best = place / "best.safetensors"
        return Checkpoint(
            position=head["position"],
            model=load_file(place / "model.safetensors"),
            best=load_file(best) if best.is_file() else None,
            optimizer=torch.load(place / "optimizer.pt", weights_only=True, map_location="cpu"),
        )

    def _place(self, step: int) -> Path:
        return self._folder / f"step-{step:09d}"

    def _places(self) -> list[Path]:
        return sorted(self._folder.glob("step-*"))

    def _read(self, place: Path) -> dict[str, Any] | None:
        try:
            head: dict[str, Any] = json.loads((place / "checkpoint.json").read_text())
            whole = all(_sha256(place / name) == wanted for name, wanted in head["files"].items())
        except (OSError, ValueError, KeyError):
            return None
        if whole and head["fingerprint"] != self._fingerprint:
            raise TrainingError(
                f"{self._folder}: holds checkpoints of other data or hyperparameters; empty it"
            )
        return head if whole else None


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
