"""Texts to token ids; the same for training, evaluation and serving."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Encoded:
    ids: list[int]
    truncated: bool


class TextEncoder:
    """A fast tokenizer with its cut fixed once, so that threads may share it."""

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        # A copy: cut and padding are state of the object, and the caller keeps its own.
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.enable_truncation(max_length)
        self._tokenizer.no_padding()

    @classmethod
    def load(cls, file: Path, max_length: int) -> Self:
        return cls(Tokenizer.from_file(str(file)), max_length)

    def __call__(self, texts: Sequence[str]) -> list[Encoded]:
        """Any unicode goes: a lone surrogate, which UTF-8 cannot hold, becomes a question mark."""
        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        return [
            Encoded(encoding.ids, bool(encoding.overflowing))
            for encoding in self._tokenizer.encode_batch(clean)
        ]


def padded(
    rows: Sequence[Sequence[int]], pad_id: int, *, multiple: int = 1, most: int | None = None
) -> dict[str, NDArray[np.int64]]:
    """The model's inputs for one batch, as wide as its longest row rounded up to `multiple`.

    Rounding stops at `most`, the positions that the model has.
    """
    longest = max(len(row) for row in rows)
    width = -(-longest // multiple) * multiple
    if most is not None:
        width = max(longest, min(width, most))
    ids = np.full((len(rows), width), pad_id, np.int64)
    mask = np.zeros((len(rows), width), np.int64)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
        mask[number, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def pad(rows: Sequence[Sequence[int]], pad_id: int) -> "dict[str, torch.Tensor]":
    """The same inputs as tensors, no wider than they must be."""
    import torch  # here: serving an int8 graph has no need of it, and it takes seconds

    return {name: torch.from_numpy(values) for name, values in padded(rows, pad_id).items()}
