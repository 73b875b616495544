"""Seeded sample sets for the three classifiers: learnable, not trivial, and able to drift."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from tasks.errors import BadData
from tasks.policy import vocabulary as words

# Every label shares these frames, so that only the words carry the label.
_FRAMES = {
    "news": "{0} and {1} after the {s} {2}. A {s} about {3} reached the {s} on {d}, with {4}"
    " named by {n} {s} sources.",
    "genre": "{P} ({y}): {n} years after the {s}, {0} and a {s} meet {1}. The {s} turns on {2},"
    " until {3} change the {s} for {P}.",
    "sentiment": "the {s} starts {0} and {1} , but after {n} minutes the {s} feels {2} , and {P}"
    " 's {s} is {3} .",
}
_DRIFTED_FRAMES = {
    "news": "Live: {0} in {s}, {1} next? {n} posts on {2} since {d}; {3} and {4} trend, {s} says.",
    "genre": "Season {n} of {P}: {0}, a {s}, {1}. Streaming since {y}; {2} and {3} go viral.",
    "sentiment": "bought {n} of these for the {s} . {0} , {1} . battery is {2} , {P} support {3} !",
}
_WORDS = {
    "news": (words.NEWS, words.NEWS_DRIFTED),
    "genre": (words.GENRE, words.GENRE_DRIFTED),
    "sentiment": (words.SENTIMENT, words.SENTIMENT_DRIFTED),
}
NAMES = tuple(_WORDS)
_STRAY, _NOISE = 0.2, 0.02
_SYLLABLES = [
    "ka",
    "ro",
    "mi",
    "len",
    "dor",
    "vas",
    "tel",
    "bri",
    "on",
    "sha",
    "per",
    "nu",
    "gal",
    "ith",
    "mor",
]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


@dataclass(frozen=True, slots=True)
class SampleSet:
    """What `sample://news?rows=3000&seed=7&drifted=1` asks for."""

    name: str
    rows: int = 3000
    seed: int = 7
    drifted: bool = False


def asked(source: str) -> SampleSet:
    """The sample set that a sample:// source names; BadData says what there is."""
    parts = urlsplit(source)
    query = dict(parse_qsl(parts.query))
    if parts.netloc not in NAMES:
        raise _refused(source, f"no such sample set; there are {', '.join(NAMES)}")
    if unknown := sorted(query.keys() - {"rows", "seed", "drifted"}):
        raise _refused(source, f"{unknown} mean nothing here; known are rows, seed, drifted")
    try:
        rows, seed = int(query.get("rows", "3000")), int(query.get("seed", "7"))
        drifted = bool(int(query.get("drifted", "0")))
    except ValueError as error:
        raise _refused(source, f"rows, seed and drifted are whole numbers: {error}") from error
    if not 40 <= rows <= 5_000_000 or seed < 0:
        raise _refused(source, "rows must be 40 to 5000000 and seed 0 or more")
    return SampleSet(parts.netloc, rows, seed, drifted)


def _refused(source: str, detail: str) -> BadData:
    example = "sample://news?rows=3000&seed=7&drifted=1"
    return BadData(source, None, "bad_source", f"{detail}; for example {example}")


def generate(sample: SampleSet, rows: int, part: str) -> Iterator[tuple[str, str]]:
    """`rows` pairs of (text, label); the same for the same sample and part, on any machine."""
    # A string seed goes through SHA-512: stable across processes. Not for secrets.
    chance = random.Random(f"{sample.name}:{sample.seed}:{sample.drifted}:{part}")  # nosec B311
    usual, moved = _WORDS[sample.name]
    frame = (_DRIFTED_FRAMES if sample.drifted else _FRAMES)[sample.name]
    labels = list(usual)
    topics = {
        label: (moved if sample.drifted else usual)[label].split() * (3 if sample.drifted else 1)
        + (usual[label].split()[:4] if sample.drifted else [])
        for label in labels
    }
    for at in range(rows):
        label = labels[at % len(labels)]
        topical = [
            chance.choice(topics[chance.choice(labels) if chance.random() < _STRAY else label])
            for _ in range(5)
        ]
        text = _filled(frame, topical, chance)
        yield text, chance.choice(labels) if chance.random() < _NOISE else label


def _filled(frame: str, topical: list[str], chance: random.Random) -> str:
    slots: tuple[tuple[str, Callable[[], str]], ...] = (
        ("{s}", lambda: chance.choice(words.SHARED)),
        ("{P}", lambda: "".join(chance.choices(_SYLLABLES, k=3)).capitalize()),
        ("{n}", lambda: str(chance.randrange(2, 1000))),
        ("{d}", lambda: chance.choice(_DAYS)),
        ("{y}", lambda: str(chance.randrange(1960, 2027))),
    )
    for slot, make in slots:
        while slot in frame:
            frame = frame.replace(slot, make(), 1)
    return frame.format(*topical)
