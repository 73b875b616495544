"""What the texts of an ingest are like, in numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasks.policy.splits import Chosen

# WordPiece makes about four tokens of three English words.
_TOKENS_PER_WORD = 4 / 3
PERCENTILES = (50, 90, 95, 99, 100)
# Enough for a share within two points; a tokenizer takes half a millisecond for each.
_SAMPLE = 2000


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long the texts of a data set are, and how unusual their letters."""

    words: dict[int, int]
    letters: dict[int, int]
    non_ascii: float


@dataclass(frozen=True, slots=True)
class Cut:
    """Which share of the texts training cuts, over how many rows, and how it is known."""

    share: float
    rows: int
    how: str


def lengths(chosen: Chosen) -> Lengths:
    """Percentiles over the rows that are used."""
    texts = [text for rows in chosen.values() for text, _ in rows]
    return Lengths(
        words=_percentiles(sorted(text.count(" ") + 1 for text in texts)),
        letters=_percentiles(sorted(map(len, texts))),
        non_ascii=sum(not text.isascii() for text in texts) / len(texts),
    )


def cut(
    texts: Sequence[str],
    model: str,
    max_length: int,
    count: Callable[[str], int] | None = None,
    tokenizer: str = "",
) -> Cut:
    """The share of texts above `max_length` tokens, over a sample: rows stand in hash order."""
    sample = texts[:_SAMPLE]
    if count is None:
        over = sum(text.count(" ") + 1 > cut_words(max_length) for text in sample)
        how = f"estimated from words, as no tokenizer of {model} could be had here"
    else:
        over = sum(count(text) > max_length for text in sample)
        how = f"counted with the tokenizer of {tokenizer}"
        if tokenizer != model and model != "offline":
            how += f", as the one of {model} could not be had here"
    return Cut(over / len(sample), len(sample), how)


def cut_words(max_length: int) -> float:
    """About how many words fit, beside the two tokens that mark begin and end."""
    return (max_length - 2) / _TOKENS_PER_WORD


def _percentiles(ordered: Sequence[int]) -> dict[int, int]:
    return {p: ordered[max(-(-p * len(ordered) // 100) - 1, 0)] for p in PERCENTILES}
