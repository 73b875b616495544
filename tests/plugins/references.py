"""A reference small enough to make in a test, yet real: rows, tokenizer and token table."""

import json

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from tasks.features import COLUMNS
from training import encoder
from training.encoder import Encoder
from training.reference import ReferenceRows

NAMES = ("World", "Sports", "Business", "Sci/Tech")
WORDS = [
    *("the", "a", "of", "in", "goal", "match", "team", "bank", "price"),
    *("war", "peace", "space", "web", "phone", "game", "oil"),
]


def tokenizer() -> str:
    """The text of a tokenizer.json that knows WORDS and the letters."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pieces = ["[PAD]", "[UNK]", *WORDS, *letters[1:], *(f"##{letter}" for letter in letters)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made.to_str()


def table(dimensions: int = 8) -> np.ndarray:
    rows = len(json.loads(tokenizer())["model"]["vocab"])
    return np.random.default_rng(7).normal(size=(rows, dimensions)).astype(np.float32)


def tiny_encoder() -> Encoder:
    return Encoder.of(tokenizer(), encoder.pack(table()))


def answers(count: int, seed: int = 0) -> dict[str, list]:
    """Texts of known and unknown words, and what a model may have said of them."""
    random = np.random.default_rng(seed)
    chances = random.dirichlet(np.ones(len(NAMES)), count).astype(np.float32)
    texts = [" ".join(random.choice(WORDS, 3 + number % 9)) for number in range(count)]
    return {
        "text": texts,
        "label": [NAMES[best] for best in chances.argmax(axis=1)],
        "confidence": chances.max(axis=1).tolist(),
        "probabilities": chances.tolist(),
        "truncated": [number % 10 == 0 for number in range(count)],
    }


def batch(count: int, seed: int = 0, **changes: list) -> pa.RecordBatch:
    """Rows as the prediction log holds them."""
    rows = {**answers(count, seed), **changes}
    rows = {
        "request_id": [f"{seed}-{number}" for number in range(count)],
        "characters": [len(text or "") for text in rows["text"]],
        **rows,
    }
    return pa.RecordBatch.from_pydict({name: _typed(name, rows[name]) for name in COLUMNS})


def reference(count: int = 60, digest: str = "d" * 64) -> ReferenceRows:
    said = answers(count, seed=99)
    return ReferenceRows.of({**said, "label_true": said["label"]}, digest, NAMES)


def _typed(name: str, values: list) -> pa.Array:
    types = {
        "text": pa.string(),
        "characters": pa.int32(),
        "confidence": pa.float32(),
        "probabilities": pa.list_(pa.float32()),
    }
    return pa.array(values, types.get(name))
