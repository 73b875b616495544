"""A bundle's own token embeddings, made small: texts to vectors with neither torch nor the model.

The evaluation job writes `encoder.npz` and `tokenizer.json`; the drift check reads them.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from tokenizers import Tokenizer

DIMENSIONS = 64
FILE = "encoder.npz"
TOKENIZER = "tokenizer.json"
# What the Rust tokenizer holds at a time: some 200 bytes for each token.
_BATCH_CHARACTERS = 2**20
_CONTINUES, _BEGINS = "##", ("Ġ", "▁")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token ids of n texts end to end; those of text i are ids[begins[i]:begins[i + 1]]."""

    ids: NDArray[np.int32]
    begins: NDArray[np.int64]  # n + 1

    @property
    def counts(self) -> NDArray[np.int64]:
        return np.diff(self.begins)

    def share(self, marked: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The part of each text's tokens that `marked`, of the vocabulary's length, marks."""
        sums = np.concatenate(([0], np.cumsum(marked[self.ids])))
        return np.diff(sums[self.begins]) / np.maximum(self.counts, 1)

    def means(self, table: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean of the table's rows for each text's tokens; zeros for a text without any."""
        from scipy.sparse import csr_array  # half a second that a flow's start need not wait

        ones = np.ones(len(self.ids), np.float32)
        shape = (len(self.begins) - 1, len(table))
        sums = csr_array((ones, self.ids, self.begins), shape=shape) @ table
        found: NDArray[np.float32] = sums / np.maximum(self.counts, 1)[:, None].astype(np.float32)
        return found


class TokenReader:
    """Whole texts to tokens: nothing cut, nothing padded, no marks of begin and end.

    `unknown` and `continuing` are bool[vocabulary]: what stands for a word that the tokenizer
    cannot say, and what goes on with a word that it had to split.
    """

    def __init__(self, tokenizer: str) -> None:
        """From the text of tokenizer.json; ValueError says what is wrong with it."""
        try:
            self._tokenizer = Tokenizer.from_str(tokenizer)
        except Exception as error:  # what the Rust side raises is a plain Exception
            raise ValueError(f"{TOKENIZER}: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        pieces = [self._tokenizer.id_to_token(number) or "" for number in range(self.size)]
        told = json.loads(tokenizer)
        self.unknown = _unknown(told["model"], pieces)
        self.continuing = _continuing(pieces) & ~self.unknown
        # No token of such a tokenizer spans a space, so a word is read once however often it comes.
        kinds = [(told.get(part) or {}).get("type") for part in ("normalizer", "pre_tokenizer")]
        self._by_words = kinds == ["BertNormalizer", "BertPreTokenizer"]

    def __call__(self, texts: Sequence[str]) -> Tokens:
        if not self._by_words:
            return self._read(texts)
        split = pc.split_pattern(pa.array(texts, pa.string()), " ")
        words = split.flatten().dictionary_encode()
        known, which = self._read(words.dictionary.to_pylist()), words.indices.to_numpy()
        counts = known.counts[which]
        ends = np.concatenate(([0], np.cumsum(counts)))
        at = np.arange(ends[-1]) + np.repeat(known.begins[which] - ends[:-1], counts)
        return Tokens(known.ids[at], ends[split.offsets.to_numpy()])

    def _read(self, texts: Sequence[str]) -> Tokens:
        lengths: list[int] = []
        parts = [np.empty(0, np.int32)]
        for batch in _batches(texts):
            found = self._tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            rows = [one.ids for one in found]
            lengths += map(len, rows)
            parts.append(np.fromiter(chain.from_iterable(rows), np.int32, sum(map(len, rows))))
        begins = np.concatenate(([0], np.cumsum(np.array(lengths, np.int64))))
        return Tokens(np.concatenate(parts), begins)


@dataclass(frozen=True, slots=True)
class Encoder:
    """Texts to tokens, and tokens to vectors of at most 64 numbers."""

    table: NDArray[np.float32]  # vocabulary x dimensions
    reader: TokenReader

    @classmethod
    def of(cls, tokenizer: str, packed: bytes) -> Self:
        """From the content of the two files; ValueError says what is wrong with them."""
        try:
            with np.load(BytesIO(packed), allow_pickle=False) as found:
                table = found["table"].astype(np.float32)
        except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
            raise ValueError(f"{FILE}: {error}") from error
        reader = TokenReader(tokenizer)
        if table.ndim != 2 or len(table) < reader.size:
            raise ValueError(f"{FILE}: a table of {table.shape} for {reader.size} tokens")
        return cls(table, reader)


def pack(table: NDArray[np.floating[Any]]) -> bytes:
    """The content of `encoder.npz`; the same numbers give the same bytes."""
    packed = BytesIO()
    np.savez(packed, table=table.astype(np.float16))
    return packed.getvalue()


def _unknown(model: dict[str, Any], pieces: Sequence[str]) -> NDArray[np.bool_]:
    name, number = model.get("unk_token"), model.get("unk_id")
    return np.array([piece == name or at == number for at, piece in enumerate(pieces)], np.bool_)


def _continuing(pieces: Sequence[str]) -> NDArray[np.bool_]:
    if any(piece.startswith(_CONTINUES) for piece in pieces):
        return np.array([piece.startswith(_CONTINUES) for piece in pieces], np.bool_)
    return np.array([not piece.startswith(_BEGINS) for piece in pieces], np.bool_)


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    held = 0
    for text in texts:
        batch.append(text)
        held += len(text)
        if held >= _BATCH_CHARACTERS:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
