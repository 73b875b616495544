"""A phrase that one class repeats: spam from a template, or a label that leaked into the text."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_SAMPLE = 2000  # rows stand in the order of their hashes, so the first ones are a fair sample
_WORDS = 5
_SHARE = 0.1
_ONE_LABEL = 0.95


@dataclass(frozen=True, slots=True)
class Template:
    """The share of the rows that hold one phrase, and what to say about it."""

    share: float
    told: str


def template(rows: Sequence[tuple[str, str]]) -> Template | None:
    """The commonest phrase of five words that a tenth of the rows has, nearly all of one class."""
    sample = rows[:_SAMPLE]
    phrases: Counter[tuple[str, ...]] = Counter()
    labels: dict[tuple[str, ...], Counter[str]] = {}
    for text, label in sample:
        words = text.split()
        for phrase in {tuple(words[at : at + _WORDS]) for at in range(len(words) - _WORDS + 1)}:
            phrases[phrase] += 1
            labels.setdefault(phrase, Counter())[label] += 1
    common = {one: count for one, count in phrases.items() if count >= _SHARE * len(sample)}
    for phrase, count in sorted(common.items(), key=lambda one: (-one[1], one[0])):
        label, most = labels[phrase].most_common(1)[0]
        if most >= _ONE_LABEL * count:
            said, share = " ".join(phrase), count / len(sample)
            told = (
                f"{share:.0%} of the training rows hold {said!r}, and {most / count:.0%} of"
                f" these are {label}: one template, not {label} in general"
            )
            return Template(share, told)
    return None
