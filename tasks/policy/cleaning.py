"""From files to clean, split rows: the order of the rules. Files are read twice, never held."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tasks.classifiers import Data, Files
from tasks.errors import BadData
from tasks.policy.duplicates import Seen, repeated, stamp, unique, without
from tasks.policy.rows import Drop, Row, parse
from tasks.policy.splits import Chosen, Selection, near, place
from tasks.policy.tallies import Tally, check
from tasks.policy.templates import template
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


def without_repeats(
    sources: Sequence[Source], files: Files, data: Data
) -> Iterator[Iterator[Row | Drop]]:
    """The records of each file of a split after every rule that looks at this split alone."""
    again = repeated([parse(one.name, one.lines(), files, data) for one in sources])
    seen = Seen()
    for one in sources:
        yield unique(parse(one.name, one.lines(), files, data), again, seen)


def clean(
    train: Sequence[Source], test: Sequence[Source], files: Files, data: Data, most: int
) -> Clean:
    """At most `most` training rows and their validation and test rows; BadData if they are bad."""
    validation = max(round(most * data.validation_share), 20)
    selection = Selection({"train": most, "validation": validation, "test": data.test_size})
    tallies: dict[Split, list[Tally]] = {
        "train": [Tally(one.name) for one in train],
        "test": [Tally(one.name) for one in test],
    }
    held_out: set[int] = set()
    for tally, found in zip(tallies["test"], without_repeats(test, files, data), strict=True):
        for row in tally.keeps(found):
            held_out.add(hash(stamp(row.text)))
            selection.add("test", near(row.text), row)
    if test:
        check(tallies["test"], data.max_drop_fraction)
    test_share = 0 if test else data.test_share
    for tally, found in zip(tallies["train"], without_repeats(train, files, data), strict=True):
        for row in tally.keeps(without(found, held_out) if held_out else found):
            position = near(row.text)
            selection.add(place(position, data.validation_share, test_share), position, row)
    check(tallies["train"], data.max_drop_fraction)
    cut: tuple[Split, ...] = ("train", "validation") if test else SPLITS
    small = selection.gather_small(cut)
    rows = selection.chosen()
    if empty := [split for split in SPLITS if not rows[split]]:
        kept = sum(sum(tally.kept.values()) for tally in tallies["train"])
        detail = f"{kept} rows are left, none for {', '.join(empty)}: bring more rows"
        raise BadData(_names(train), None, "too_few_rows", detail)
    notes = (*_told(small, len(cut)), *_missing(rows, data.labels))
    if spam := template(rows["train"]):
        if spam.share > data.max_template_share:
            detail = (
                f"{spam.told}; at most {data.max_template_share:.0%} may be (max_template_share)"
            )
            raise BadData(_names(train), None, "template", detail)
        notes += (spam.told,)
    return Clean(rows, (*tallies["train"], *tallies["test"]), notes)


def _names(sources: Sequence[Source]) -> str:
    return ", ".join(one.name for one in sources)


def _told(small: tuple[str, ...], splits: int) -> Iterator[str]:
    if small:
        yield f"all rows of {', '.join(small)} are in train: fewer rows than the {splits} splits"


def _missing(rows: Chosen, labels: Iterable[str]) -> Iterator[str]:
    for split, found in rows.items():
        there = {label for _, label in found}
        if absent := [label for label in labels if label not in there]:
            yield f"{split} holds no row of {', '.join(absent)}"
