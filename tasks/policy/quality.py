"""What an ingest found, in numbers and as a page that a person reads."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.classifiers import Classifier
from tasks.policy.rows import Tally
from tasks.policy.splits import Chosen

# WordPiece makes about four tokens of three English words.
_TOKENS_PER_WORD = 4 / 3
_PERCENTILES = (50, 90, 95, 99, 100)


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long the texts of a data set are, and how unusual their letters."""

    words: dict[int, int]
    letters: dict[int, int]
    non_ascii: float
    cut: float


def lengths(chosen: Chosen, max_length: int) -> Lengths:
    """Percentiles over the rows that are used; `cut` is an estimate by words."""
    texts = [text for rows in chosen.values() for text, _ in rows]
    words = sorted(text.count(" ") + 1 for text in texts)
    return Lengths(
        words=_percentiles(words),
        letters=_percentiles(sorted(map(len, texts))),
        non_ascii=sum(not text.isascii() for text in texts) / len(texts),
        cut=sum(count * _TOKENS_PER_WORD > max_length - 2 for count in words) / len(words),
    )


def _percentiles(ordered: Sequence[int]) -> dict[int, int]:
    return {p: ordered[max(-(-p * len(ordered) // 100) - 1, 0)] for p in _PERCENTILES}


def page(
    chosen: Classifier, source: str, tallies: Sequence[Tally], rows: Chosen, notes: Sequence[str]
) -> str:
    """The data-quality report in Markdown."""
    parts = [f"# {chosen.name}: data quality", f"Source `{source}`", "## Rows of the files"]
    parts.append(_files(tallies))
    if drops := _drops(tallies):
        parts += ["### Dropped, and where first", drops]
    parts += ["## Classes", _classes(chosen.data.labels, rows), "## Texts"]
    parts.append(_texts(lengths(rows, chosen.training.hyperparameters.max_length), chosen))
    if notes:
        parts += ["## To know", "\n".join(f"- {note}" for note in notes)]
    return "\n\n".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def _files(tallies: Sequence[Tally]) -> str:
    head = ("file", "rows read", "kept", "dropped", "dropped share", "blank lines")
    return _table(
        head,
        [
            (
                f"`{tally.file}`",
                f"{tally.rows:,}",
                f"{sum(tally.kept.values()):,}",
                f"{sum(tally.dropped.values()):,}",
                f"{sum(tally.dropped.values()) / max(tally.rows, 1):.2%}",
                f"{tally.blank:,}",
            )
            for tally in tallies
        ],
    )


def _drops(tallies: Sequence[Tally]) -> str:
    rows = [
        (reason, f"`{tally.file}`", count, ", ".join(map(str, tally.first_lines[reason])))
        for tally in tallies
        for reason, count in sorted(tally.dropped.items())
    ]
    return _table(("reason", "file", "rows", "first lines"), rows) if rows else ""


def _classes(labels: Sequence[str], rows: Chosen) -> str:
    counts = {split: Counter(label for _, label in found) for split, found in rows.items()}
    body = [(label, *(_bar(found, label) for found in counts.values())) for label in labels]
    total = ("**all**", *(f"**{found.total():,}**" for found in counts.values()))
    return _table(("class", *counts), [*body, total])


def _bar(found: Counter[str], label: str) -> str:
    most, share = max(found.values(), default=0), found[label] / max(found.total(), 1)
    return f"{'█' * round(8 * found[label] / max(most, 1))} {found[label]:,} ({share:.1%})"


def _texts(found: Lengths, chosen: Classifier) -> str:
    head = ("length", *(f"p{p}" if p < 100 else "longest" for p in _PERCENTILES))
    table = _table(head, [("words", *found.words.values()), ("letters", *found.letters.values())])
    longest = chosen.training.hyperparameters.max_length
    return (
        f"{table}\n\n{found.non_ascii:.1%} of the texts hold letters beyond ASCII. About"
        f" {found.cut:.1%} are longer than max-length {longest} tokens and are cut in training."
    )
