"""The bundle: all that a model is at serving time, and the one code that loads and runs it."""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from training import engine
from training.engine import EngineError, GraphEngine, TorchEngine, quiet
from training.formats import BundleManifest
from training.tokens import Encoded, TextEncoder

if TYPE_CHECKING:
    from training.quantise import Built

MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
LABELS = "label_mappings.json"
REQUIRED = (WEIGHTS, CONFIG, TOKENIZER, LABELS)

# A bundle holds weights and text. Everything else, pickles above all, could run code when loaded.
_ALLOWED_KINDS = {".safetensors", ".json", ".txt"}
_ENGINE_FILES: dict[str, tuple[str, ...]] = {"torch": (), "openvino-int8": engine.GRAPH_FILES}
_PICKLE_KINDS = {".bin", ".pkl", ".pickle", ".pt", ".pth", ".joblib", ".ckpt", ".npy", ".npz"}


class BundleError(Exception):
    """A bundle that must not be used; the message names the file and what is wrong."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer; probabilities are in the order of the manifest's labels."""

    label: str
    confidence: float
    probabilities: tuple[float, ...]
    truncated: bool


def write(
    folder: Path,
    model: Any,
    tokenizer: Any,
    *,
    classifier: str,
    task: str,
    base_model: str,
    labels: Sequence[str],
    max_length: int,
    hyperparameters: dict[str, str | int | float | bool],
    metrics: dict[str, float],
    snapshot_sha256: str,
    git_sha: str,
    job_name: str,
    built: "Built | None" = None,
) -> BundleManifest:
    """Save a transformers model and tokenizer as a bundle in `folder`; the manifest comes last.

    Without an engine that was built for it the bundle is served in torch.
    """
    quiet()
    partial = folder / ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    model.save_pretrained(partial, safe_serialization=True, max_shard_size="100GB")
    tokenizer.save_pretrained(partial)
    mappings = {
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "label2id": {label: number for number, label in enumerate(labels)},
    }
    (partial / LABELS).write_text(json.dumps(mappings, indent=1, ensure_ascii=False), "utf-8")
    for name, content in built.files.items() if built else ():
        (partial / name).write_bytes(content)
    files = {file.name: _sha256(file) for file in sorted(partial.iterdir())}
    manifest = BundleManifest(
        classifier=classifier,
        task=task,
        base_model=base_model,
        labels=tuple(labels),
        max_length=max_length,
        engine=built.name if built else "torch",
        engine_note=built.note if built else None,
        total_parameters=sum(weights.numel() for weights in model.parameters()),
        files=files,
        hyperparameters=hyperparameters,
        metrics={**metrics, **(built.metrics if built else {})},
        snapshot_sha256=snapshot_sha256,
        git_sha=git_sha,
        job_name=job_name,
    )
    for name in files:
        (partial / name).replace(folder / name)
    (partial / MANIFEST).write_bytes(manifest.to_bytes())
    (partial / MANIFEST).replace(folder / MANIFEST)
    partial.rmdir()
    return verify(folder)


def verify(folder: Path) -> BundleManifest:
    """The manifest of a bundle whose every byte is what the manifest says.

    Raises BundleError, which names the file and the reason.
    """
    manifest = _read_manifest(folder)
    found = {entry.name: entry for entry in folder.iterdir() if entry.name != MANIFEST}
    for entry in found.values():
        _refuse_kind(entry)
    for name in (*REQUIRED, *_ENGINE_FILES[manifest.engine], *manifest.files):
        if name not in found:
            raise BundleError(f"{folder / name}: missing")
    if unlisted := sorted(set(found) - set(manifest.files)):
        raise BundleError(f"{folder / unlisted[0]}: not listed in {MANIFEST}")
    for name, wanted in manifest.files.items():
        _refuse_content(found[name], wanted)
    _refuse_labels(folder, manifest)
    return manifest


def unpack(archive: Path, folder: Path) -> BundleManifest:
    """Extract a model.tar.gz into `folder`, never outside it, and verify what is in it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BundleError(f"{archive}: cannot be extracted: {error}") from error
    return verify(folder)


class Classifier:
    """A loaded bundle that answers; what is evaluated is what serves."""

    def __init__(
        self, manifest: BundleManifest, encoder: TextEncoder, answering: engine.Engine
    ) -> None:
        self.manifest = manifest
        self._encoder = encoder
        self._engine = answering

    @classmethod
    def load(cls, folder: Path, device: str = "cpu", threads: int | None = None) -> Self:
        """Verify the bundle in `folder`, then load the engine that it names.

        The int8 graph is for CPUs; any other device runs the fp32 weights beside it. `threads` is
        how many compute one batch, all that the process may use by default.
        """
        manifest = verify(folder)
        encoder = TextEncoder.load(folder / TOKENIZER, manifest.max_length)
        answering: engine.Engine
        try:
            if manifest.engine == "torch" or device != "cpu":
                answering = TorchEngine.load(folder, device, threads)
            else:
                answering = GraphEngine.load(
                    folder,
                    pad_id=_read_json(folder / CONFIG).get("pad_token_id") or 0,
                    max_length=manifest.max_length,
                    threads=threads,
                )
                engine.prove(answering, len(manifest.labels))
        except EngineError as error:
            raise BundleError(f"{folder}: {manifest.engine} engine: {error}") from error
        return cls(manifest, encoder, answering)

    def predict(self, texts: list[str]) -> list[Prediction]:
        """One prediction for each text, in the order of the texts."""
        encoded = self.encode(texts)
        return [
            self._prediction(found, one.truncated)
            for found, one in zip(self.probabilities(encoded).tolist(), encoded, strict=True)
        ]

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """The token ids of each text, the first half of a prediction."""
        return self._encoder(texts)

    def probabilities(self, encoded: Sequence[Encoded]) -> NDArray[np.float64]:
        """One row for each encoded text, the second half of a prediction."""
        return self.begin(encoded)()

    def begin(self, encoded: Sequence[Encoded]) -> Callable[[], NDArray[np.float64]]:
        """Start on them and return what waits for their probabilities: meanwhile begin the next."""
        end = engine.begin(self._engine, [one.ids for one in encoded])
        shape = len(encoded), len(self.manifest.labels)
        return lambda: np.array(end(), np.float64).reshape(shape)

    def _prediction(self, probabilities: list[float], truncated: bool) -> Prediction:
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        return Prediction(
            label=self.manifest.labels[best],
            confidence=probabilities[best],
            probabilities=tuple(probabilities),
            truncated=truncated,
        )


def _read_manifest(folder: Path) -> BundleManifest:
    if not folder.is_dir():
        raise BundleError(f"{folder}: no such folder")
    file = folder / MANIFEST
    if file.is_symlink():
        raise BundleError(f"{file}: is a symbolic link")
    if not file.is_file():
        raise BundleError(f"{file}: missing")
    try:
        raw = file.read_bytes()
        manifest = BundleManifest.model_validate_json(raw)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise BundleError(f"{file}: not a manifest: {where} {problem['msg']}") from error
    if raw != manifest.to_bytes():
        raise BundleError(f"{file}: not in canonical form, its digest would be ambiguous")
    return manifest


def _refuse_kind(entry: Path) -> None:
    if entry.is_symlink():
        raise BundleError(f"{entry}: is a symbolic link")
    if entry.is_dir():
        raise BundleError(f"{entry}: is a folder, a bundle has none")
    if not entry.is_file():
        raise BundleError(f"{entry}: is not a plain file")
    if entry.suffix in _PICKLE_KINDS:
        raise BundleError(f"{entry}: is a pickle, which is never loaded")
    if entry.suffix not in _ALLOWED_KINDS and entry.name != engine.GRAPH:
        raise BundleError(f"{entry}: only {', '.join(sorted(_ALLOWED_KINDS))} may be in a bundle")


def _refuse_content(file: Path, wanted: str) -> None:
    with file.open("rb") as stream:
        head = stream.read(9)
    if file.suffix == ".safetensors":
        # Eight bytes of header length, then JSON: so a pickle under this name shows itself.
        if head[8:] != b"{":
            raise BundleError(f"{file}: not a safetensors file (a pickle or cut short)")
    elif head[:1] == b"\x80" or head[:4] == b"PK\x03\x04":
        raise BundleError(f"{file}: is a pickle, which is never loaded")
    if file.name == engine.GRAPH:
        try:
            engine.refuse_graph(file.read_bytes())
        except EngineError as error:
            raise BundleError(f"{file}: {error}") from error
    if (found := _sha256(file)) != wanted:
        raise BundleError(
            f"{file}: truncated or altered: SHA-256 of its {file.stat().st_size} bytes is"
            f" {found[:12]}..., {MANIFEST} says {wanted[:12]}..."
        )


def _refuse_labels(folder: Path, manifest: BundleManifest) -> None:
    """Manifest, model configuration and label file must name the same labels in the same order."""
    wanted = dict(enumerate(manifest.labels))
    mappings = _read_json(folder / LABELS)
    config = _read_json(folder / CONFIG)
    for name, found in ((CONFIG, config.get("id2label")), (LABELS, mappings.get("id2label"))):
        if found != {str(number): label for number, label in wanted.items()}:
            raise BundleError(f"{folder / name}: id2label is {found}, {MANIFEST} says {wanted}")
    if mappings.get("label2id") != {label: number for number, label in wanted.items()}:
        raise BundleError(f"{folder / LABELS}: label2id is not the inverse of its id2label")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise BundleError(f"{file}: not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise BundleError(f"{file}: not a JSON object")
    return found


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
