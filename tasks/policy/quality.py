"""What an ingest found, in numbers and as a page that a person reads."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasks.classifiers import Classifier, Files
from tasks.policy.cleaning import Clean
from tasks.policy.rows import Tally
from tasks.policy.splits import Chosen

# WordPiece makes about four tokens of three English words.
_TOKENS_PER_WORD = 4 / 3
_PERCENTILES = (50, 90, 95, 99, 100)
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
    return {p: ordered[max(-(-p * len(ordered) // 100) - 1, 0)] for p in _PERCENTILES}


def page(chosen: Classifier, source: str, found: Clean, cuts: Cut, picture: str) -> str:
    """The data-quality report in Markdown."""
    tallies, rows = found.tallies, found.rows
    parts = [f"# {chosen.name}: data quality", f"Source `{source}`", "## Rows of the files"]
    parts.append(_files(tallies))
    if drops := _drops(tallies):
        parts += ["### Dropped, and where first", drops]
    parts += ["### Missing values", _missing(tallies, chosen.data.files)]
    if found.notes:
        parts += ["## To know", "\n".join(f"- {note}" for note in found.notes)]
    parts += ["## Texts and classes", picture, _texts(lengths(rows), cuts, chosen)]
    parts += ["### Classes", _classes(chosen.data.labels, rows)]
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


def _missing(tallies: Sequence[Tally], files: Files) -> str:
    used = dict.fromkeys((*([files.id] if files.id else []), files.label, *files.text))
    columns = used | dict.fromkeys(column for tally in tallies for column in tally.missing)
    body = [
        (
            f"`{tally.file}`",
            *(f"{n:,} ({n / max(tally.rows, 1):.2%})" if n else "0" for n in there),
        )
        for tally in tallies
        for there in [[tally.missing.get(column, 0) for column in columns]]
    ]
    return _table(("file", *columns), body)


def _classes(labels: Sequence[str], rows: Chosen) -> str:
    counts = {split: Counter(label for _, label in found) for split, found in rows.items()}
    body = [(label, *(_share(found, label) for found in counts.values())) for label in labels]
    total = ("**all**", *(f"**{found.total():,}**" for found in counts.values()))
    return _table(("class", *counts), [*body, total])


def _share(found: Counter[str], label: str) -> str:
    return f"{found[label]:,} ({found[label] / max(found.total(), 1):.1%})"


def _texts(found: Lengths, cuts: Cut, chosen: Classifier) -> str:
    head = ("length", *(f"p{p}" if p < 100 else "longest" for p in _PERCENTILES))
    table = _table(head, [("words", *found.words.values()), ("letters", *found.letters.values())])
    longest = chosen.training.hyperparameters.max_length
    return (
        f"{table}\n\n**{found.non_ascii:.1%}** of the texts hold letters beyond ASCII."
        f" **{cuts.share:.1%}** of {cuts.rows:,} training texts are longer than max-length"
        f" {longest} tokens and are cut in training ({cuts.how})."
    )
