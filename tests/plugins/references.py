"""A reference small enough to make in a test, yet real: rows, tokenizer and token table."""

import json
from datetime import datetime
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from tasks.features import COLUMNS
from training import capture, encoder
from training.encoder import Encoder
from training.reference import ReferenceRows

OURS, THEIRS = "d" * 64, "e" * 64
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


def ship(
    s3: Any, bucket: str, at: datetime, count: int, seed: int, name: str = "a", **more: Any
) -> str:
    """Log rows that are a second apart, the digest of every fifth one another's; the key."""
    rows = batch(count, seed)
    first = int(at.timestamp() * 1000)
    times = pa.array([first + 1000 * number for number in range(count)])
    columns = {
        **{column: rows[column] for column in COLUMNS},
        **dict.fromkeys(("classifier", "model_version", "variant"), pa.array(["x"] * count)),
        "timestamp": times.cast(pa.timestamp("ms", "UTC")),
        "bundle_digest": pa.array([THEIRS if row % 5 == 4 else OURS for row in range(count)]),
        "latency_ms": pa.array(np.ones(count, np.float32)),
    }
    schema = capture.schema("prediction")
    packed = BytesIO()
    pq.write_table(pa.table(columns).select(schema.names).cast(schema), packed, **more)
    key = f"{capture.prefix('prediction', 'news')}/{capture.hour(first)}/{name}.parquet"
    s3.put_object(Bucket=bucket, Key=key, Body=packed.getvalue())
    return key


def reference(count: int = 60, digest: str = OURS) -> ReferenceRows:
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
