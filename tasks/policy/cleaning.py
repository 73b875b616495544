"""From files to clean, split rows: the order of the rules. Files are read twice, never held."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tasks.classifiers import Data, Files
from tasks.errors import BadData
from tasks.policy import fresh
from tasks.policy.duplicates import Seen, repeated, stamp, unique, without
from tasks.policy.fresh import Fresh
from tasks.policy.rows import Drop, Row, parse
from tasks.policy.splits import Chosen, Limits, Selection, near, place
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
    """The rows that are used, what became of all others, and what a person should know.

    `fresh` are those of the used rows that callers labelled.
    """

    rows: Chosen
    tallies: tuple[Tally, ...]
    notes: tuple[str, ...]
    fresh: Chosen


def without_repeats(
    sources: Sequence[Source], files: Files, data: Data
) -> Iterator[Iterator[Row | Drop]]:
    """The records of each file of a split after every rule that looks at this split alone."""
    again = repeated([parse(one.name, one.lines(), files, data) for one in sources])
    seen = Seen()
    for one in sources:
        yield unique(parse(one.name, one.lines(), files, data), again, seen)


def clean(
    train: Sequence[Source],
    test: Sequence[Source],
    files: Files,
    data: Data,
    most: int,
    feedback: Source | None = None,
) -> Clean:
    """At most `most` training rows and their validation and test rows; BadData if they are bad.

    `feedback` are labelled answers in the shape of fresh.FILES, each text once. They come on top,
    at most as many again.
    """
    validation = max(round(most * data.validation_share), 20)
    limits: Limits = {"train": most, "validation": validation, "test": data.test_size}
    selection = Selection(limits)
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
    new = _fresh(feedback, data, limits, held_out)
    test_share = 0 if test else data.test_share
    for tally, found in zip(tallies["train"], without_repeats(train, files, data), strict=True):
        for row in tally.keeps(_older(found, held_out, new.texts)):
            position = near(row.text)
            selection.add(place(position, data.validation_share, test_share), position, row)
    check(tallies["train"], data.max_drop_fraction)
    cut: tuple[Split, ...] = ("train", "validation") if test else SPLITS
    small = selection.gather_small(cut)
    rows = fresh.together(selection.chosen(fresh.remaining(limits, new)), new.rows)
    _refuse_empty(rows, tallies["train"])
    notes = (*_told(small, len(cut)), *_missing(rows, data.labels), *new.told)
    notes += _templates(rows["train"], _names(train), data)
    return Clean(rows, (*tallies["train"], *tallies["test"], *new.tallies), notes, new.rows)


def _fresh(feedback: Source | None, data: Data, limits: Limits, held_out: set[int]) -> Fresh:
    if feedback is None:
        return fresh.none()
    (found,) = without_repeats([feedback], fresh.FILES, data)
    return fresh.choose(feedback.name, found, data, limits, held_out)


def _older(
    found: Iterable[Row | Drop], held_out: set[int], newer: Collection[int]
) -> Iterable[Row | Drop]:
    """What is neither a test row nor labelled anew: of two labels the last one counts."""
    found = without(found, held_out) if held_out else found
    return without(found, newer, "in_feedback") if newer else found


def _refuse_empty(rows: Chosen, tallies: Sequence[Tally]) -> None:
    if empty := [split for split in SPLITS if not rows[split]]:
        kept = sum(sum(tally.kept.values()) for tally in tallies)
        detail = f"{kept} rows are left, none for {', '.join(empty)}: bring more rows"
        raise BadData(", ".join(one.file for one in tallies), None, "too_few_rows", detail)


def _templates(rows: Sequence[tuple[str, str]], names: str, data: Data) -> tuple[str, ...]:
    """What a person should know of a phrase that many rows hold; BadData when too many do."""
    spam = template(rows)
    if not spam:
        return ()
    if spam.share > data.max_template_share:
        detail = f"{spam.told}; at most {data.max_template_share:.0%} may be (max_template_share)"
        raise BadData(names, None, "template", detail)
    return (spam.told,)


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
