"""What an ingest found, as a page that a person reads."""

from collections import Counter
from collections.abc import Sequence

from tasks.classifiers import Classifier, Files
from tasks.policy.cleaning import Clean
from tasks.policy.quality import PERCENTILES, Cut, Lengths, lengths
from tasks.policy.splits import Chosen
from tasks.policy.tallies import Tally


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
    head = ("length", *(f"p{p}" if p < 100 else "longest" for p in PERCENTILES))
    table = _table(head, [("words", *found.words.values()), ("letters", *found.letters.values())])
    longest = chosen.training.hyperparameters.max_length
    return (
        f"{table}\n\n**{found.non_ascii:.1%}** of the texts hold letters beyond ASCII."
        f" **{cuts.share:.1%}** of {cuts.rows:,} training texts are longer than max-length"
        f" {longest} tokens and are cut in training ({cuts.how})."
    )
