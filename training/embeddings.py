"""The reference of a bundle and the small encoder that goes with it, from the bundle's files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from training import encoder, reference
from training.bundle import CONFIG, TOKENIZER, WEIGHTS, Prediction
from training.container import TrainingError, write_atomically
from training.data import Rows
from training.encoder import Tokens
from training.formats import BundleManifest
from training.reference import ReferenceRows

# Directions are found on so many rows, spread evenly through the split.
_MOST_ROWS = 10_000


def write(
    output: Path,
    folder: Path,
    manifest: BundleManifest,
    rows: Rows,
    answers: Sequence[Prediction],
) -> None:
    """reference.parquet, encoder.npz and tokenizer.json of the verified bundle in `folder`.

    The same inputs give the same bytes; each file is there whole or not at all.
    """
    told = answered(rows.texts, rows.labels, answers, manifest)
    tokenizer = (folder / TOKENIZER).read_text("utf-8")
    spread = told.rows["text"].to_pylist()[:: -(-len(answers) // _MOST_ROWS)]
    tokens = encoder.TokenReader(tokenizer)(spread)
    table = projected(token_table(folder), tokens)
    write_atomically(output / encoder.TOKENIZER, tokenizer.encode())
    write_atomically(output / encoder.FILE, encoder.pack(table))
    write_atomically(output / reference.FILE, told.to_bytes())


def answered(
    texts: Sequence[str],
    labels: Sequence[str],
    answers: Sequence[Prediction],
    manifest: BundleManifest,
) -> ReferenceRows:
    """Held-back texts, their true labels, and what the bundle says of them."""
    columns: dict[str, Sequence[Any]] = {
        "text": texts,
        "label_true": labels,
        "label": [one.label for one in answers],
        "confidence": [one.confidence for one in answers],
        "probabilities": [one.probabilities for one in answers],
        "truncated": [one.truncated for one in answers],
    }
    return ReferenceRows.of(columns, manifest.digest, manifest.labels)


def token_table(folder: Path) -> NDArray[np.float32]:
    """The model's input embeddings, vocabulary x hidden size.

    The fp32 weights are in every bundle, whatever its engine; only this tensor is read.
    """
    size = json.loads((folder / CONFIG).read_text("utf-8")).get("vocab_size")
    with safe_open(folder / WEIGHTS, framework="numpy") as weights:
        names = [
            name
            for name in weights.keys()  # noqa: SIM118 - not a mapping
            if weights.get_slice(name).get_shape()[:1] == [size]
            and len(weights.get_slice(name).get_shape()) == 2
        ]
        if not names:
            raise TrainingError(f"{folder / WEIGHTS}: no table of {size} token embeddings")
        # With a language model's head beside it, the one that is named for it.
        named = sorted(names, key=lambda name: ("embed" not in name, name))
        found: NDArray[np.float32] = weights.get_tensor(named[0])
    return found.astype(np.float32)


def projected(table: NDArray[np.float32], tokens: Tokens) -> NDArray[np.float32]:
    """The table along the first principal directions of the texts' mean vectors, at most 64."""
    means = tokens.means(table).astype(np.float64)
    middle = means.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov(means, rowvar=False, bias=True))
    kept = directions[:, np.argsort(variances)[::-1][: encoder.DIMENSIONS]]
    # An eigenvector's sign is anybody's choice; this one is the same everywhere.
    signs = np.sign(kept[np.abs(kept).argmax(axis=0), np.arange(kept.shape[1])])
    found: NDArray[np.float32] = ((table - middle) @ (kept * signs)).astype(np.float32)
    return found
