"""From files to clean, split rows: the order of the rules. Files are read twice, never held."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tasks.classifiers import Data, Files
from tasks.errors import BadData
from tasks.policy.duplicates import conflicts, folded, unique, without
from tasks.policy.rows import Drop, Row, Tally, check, digest, parse
from tasks.policy.splits import Chosen, Selection, key, place
from training.formats import SPLITS, Split


@dataclass(frozen=True, slots=True)
class Source:
    """A file by name, and how to read its lines from the start."""

    name: str
    lines: Callable[[], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Clean:
    """The rows that are used, what became of all others, and what a person should know."""

    rows: Chosen
    tallies: tuple[Tally, ...]
    notes: tuple[str, ...]


def without_repeats(source: Source, files: Files, data: Data) -> Iterator[Row | Drop]:
    """The records of one file after every rule that looks at this file alone."""
    torn = conflicts(parse(source.name, source.lines(), files, data))
    return unique(parse(source.name, source.lines(), files, data), torn)


def clean(train: Source, test: Source | None, files: Files, data: Data, most: int) -> Clean:
    """At most `most` training rows and their validation and test rows; BadData if they are bad."""
    selection = Selection(
        {
            "train": most,
            "validation": max(round(most * data.validation_share), 20),
            "test": data.test_size,
        }
    )
    tallies = [Tally(train.name)]
    held_out = set()
    if test:
        tallies.append(Tally(test.name))
        for row in tallies[1].keeps(without_repeats(test, files, data)):
            held_out.add(digest(folded(row.text)))
            selection.add("test", key(row), row)
        check(tallies[1], data.max_drop_fraction)
    test_share = 0 if test else data.test_share
    for row in tallies[0].keeps(without(without_repeats(train, files, data), held_out)):
        position = key(row)
        selection.add(place(position, data.validation_share, test_share), position, row)
    check(tallies[0], data.max_drop_fraction)
    cut: tuple[Split, ...] = ("train", "validation") if test else SPLITS
    small = selection.gather_small(cut)
    rows = selection.chosen()
    if empty := [split for split in SPLITS if not rows[split]]:
        kept = sum(tallies[0].kept.values())
        detail = f"{kept} rows are left, none for {', '.join(empty)}: bring more rows"
        raise BadData(train.name, None, "too_few_rows", detail)
    return Clean(rows, tuple(tallies), (*_told(small, len(cut)), *_missing(rows, data.labels)))


def _told(small: tuple[str, ...], splits: int) -> Iterator[str]:
    if small:
        yield f"all rows of {', '.join(small)} are in train: fewer rows than the {splits} splits"


def _missing(rows: Chosen, labels: Iterable[str]) -> Iterator[str]:
    for split, found in rows.items():
        there = {label for _, label in found}
        if absent := [label for label in labels if label not in there]:
            yield f"{split} holds no row of {', '.join(absent)}"
