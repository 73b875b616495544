"""Answers that callers labelled, as rows beside those of a source.

They come on top of what is used of the source, as many as there may be of that at most: a model
that learned them in place of old rows would forget the old language. A quarter of them is for
testing, and only there the old rows are made fewer: twice the new ones at most, though never less
than 500. A challenger has to show what it gained on new language and what it lost on the old; among
2,000 old rows, a hundred new ones would show nothing.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tasks.classifiers import Data, Files
from tasks.policy.duplicates import stamp, without
from tasks.policy.rows import Drop, Row
from tasks.policy.splits import Chosen, Limits, Selection, key, near, place
from tasks.policy.tallies import Tally
from training.formats import SPLITS

# One JSON object a line: what was asked, and what it really was.
FILES = Files(
    format="jsonl", columns=("label", "text"), label="label", text=("text",), train="feedback.jsonl"
)
_TEST_SHARE = 0.25
_OLD_TEST_ROWS = 500


@dataclass(frozen=True, slots=True)
class Fresh:
    """The labelled answers that are used; `texts` are the hashes of all that were read."""

    rows: Chosen
    texts: frozenset[int]
    tallies: tuple[Tally, ...] = ()

    @property
    def told(self) -> tuple[str, ...]:
        """For a person; nothing when nobody asked for labelled answers."""
        if not self.tallies:
            return ()
        cut = ", ".join(f"{len(rows):,} {split}" for split, rows in self.rows.items())
        return (f"of the rows that are used, labelled answers of the endpoint are: {cut}",)


def none() -> Fresh:
    return Fresh({split: [] for split in SPLITS}, frozenset())


def choose(
    name: str, found: Iterable[Row | Drop], data: Data, limits: Limits, held_out: Collection[int]
) -> Fresh:
    """Rows of the file `name`, by the hash of their texts alone: at most `limits`, of test half.

    What is among the source's own test rows, `held_out`, is theirs.
    """
    selection = Selection({**limits, "test": limits["test"] // 2})
    tally, texts = Tally(name), set[int]()
    for row in tally.keeps(without(found, held_out)):
        position = near(row.text)
        texts.add(hash(stamp(row.text)))
        selection.add(place(position, data.validation_share, _TEST_SHARE), position, row)
    return Fresh(selection.chosen(), frozenset(texts), (tally,))


def remaining(limits: Limits, fresh: Fresh) -> Limits:
    """How many rows of the source there may be in each split beside the fresh ones."""
    if not (new := len(fresh.rows["test"])):
        return limits
    return {**limits, "test": min(limits["test"] - new, max(2 * new, _OLD_TEST_ROWS))}


def together(old: Chosen, new: Chosen) -> Chosen:
    """The rows of both, mixed by hash: the first ones are a fair sample of all."""

    def lot(row: tuple[str, str]) -> int:
        text, label = row
        return key(Row(0, "", label, text)) % 2**128  # without the place, which old rows share

    return {
        split: sorted([*old[split], *new[split]], key=lot) if new[split] else old[split]
        for split in SPLITS
    }
