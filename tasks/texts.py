"""Letters and words of many texts at once."""

from functools import cache
from unicodedata import category, name

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_LETTER, _LATIN, _UPPER, _DIGIT = 1, 2, 4, 8
_PLANE_END = 0x10000  # letters beyond the basic plane are so rare that they are not counted
_TERM_CHARACTERS = 1000  # of each text
_MOST_TERMS = 50_000  # random letters must not fill the memory
_NOT_WORDS = r"[^\p{L}\p{M}]+"


def letters(texts: list[str]) -> dict[str, NDArray[np.float64]]:
    """Shares of each text: letters that are not Latin and capitals (of the letters), digits."""
    counts = np.array([len(text) for text in texts], np.int64)
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "replace"), np.uint32)
    kinds = _kinds()[np.minimum(codes, _PLANE_END)]
    ends = np.cumsum(counts)

    def each(kind: int, wanted: int) -> NDArray[np.int64]:
        sums = np.concatenate(([0], np.cumsum((kinds & kind) == wanted)))
        found: NDArray[np.int64] = sums[ends] - sums[ends - counts]
        return found

    total = np.maximum(each(_LETTER, _LETTER), 1)
    return {
        "non_latin_share": each(_LETTER | _LATIN, _LETTER) / total,
        "uppercase_share": each(_UPPER, _UPPER) / total,
        "digit_share": each(_DIGIT, _DIGIT) / np.maximum(counts, 1),
    }


def terms(texts: pa.StringArray) -> dict[str, int]:
    """How many texts hold each word of two letters or more, by the word in lower case.

    Looks at the first 1,000 characters of a text and keeps the 50,000 commonest words.
    """
    heads = pc.utf8_lower(pc.utf8_slice_codeunits(texts, 0, _TERM_CHARACTERS))
    split = pc.split_pattern_regex(heads, _NOT_WORDS)
    words, rows = pc.list_flatten(split), pc.list_parent_indices(split)
    long = pc.greater(pc.utf8_length(words), 1)
    found = words.filter(long).dictionary_encode()
    vocabulary = found.dictionary
    if not len(vocabulary):
        return {}
    codes = found.indices.to_numpy().astype(np.int64)
    at = rows.filter(long).to_numpy().astype(np.int64)
    pairs = np.sort(at * len(vocabulary) + codes)
    first = np.diff(pairs, prepend=-1) > 0
    counts = np.bincount(pairs[first] % len(vocabulary))
    named = zip(vocabulary.to_pylist(), counts.tolist(), strict=True)
    if len(vocabulary) > _MOST_TERMS:
        return dict(sorted(named, key=lambda term: (-term[1], term[0]))[:_MOST_TERMS])
    return dict(named)


@cache
def _kinds() -> NDArray[np.uint8]:
    kinds = np.zeros(_PLANE_END + 1, np.uint8)
    for code in range(_PLANE_END):
        match category(chr(code)):
            case "Nd":
                kinds[code] = _DIGIT
            case "Ll" | "Lm" | "Lo" | "Lt" | "Lu" as kind:
                latin = (
                    _LATIN if name(chr(code), "").startswith(("LATIN", "FULLWIDTH LATIN")) else 0
                )
                kinds[code] = _LETTER | latin | (_UPPER if kind == "Lu" else 0)
            case _:
                pass
    return kinds
