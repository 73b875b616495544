"""Texts to token ids; the same for training, evaluation and serving."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from tokenizers import Tokenizer


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


def pad(rows: Sequence[Sequence[int]], pad_id: int) -> dict[str, torch.Tensor]:
    """The model's inputs for one batch, as wide as its longest row."""
    width = max(len(row) for row in rows)
    return {
        "input_ids": torch.tensor([[*row, *[pad_id] * (width - len(row))] for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
    }
