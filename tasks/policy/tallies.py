"""What became of the records of a file, and whether it can be learned from."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tasks.errors import BadData
from tasks.policy.jsonl import BLANK
from tasks.policy.rows import Drop, Row

_LINES_TOLD = 5


@dataclass(slots=True)
class Tally:
    """What became of the records of one file. No record is missing from it."""

    file: str
    blank: int = 0
    kept: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    first_lines: dict[str, list[int]] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows read: kept and dropped; blank lines are none."""
        return sum(self.kept.values()) + sum(self.dropped.values())

    def keeps(self, found: Iterable[Row | Drop]) -> Iterator[Row]:
        """The rows among what was found; everything is counted on the way."""
        for one in found:
            if one.missing:
                for column in one.missing:
                    self.missing[column] = self.missing.get(column, 0) + 1
            if isinstance(one, Row):
                self.kept[one.label] = self.kept.get(one.label, 0) + 1
                yield one
            elif one.reason == BLANK:
                self.blank += 1
            else:
                self.dropped[one.reason] = self.dropped.get(one.reason, 0) + 1
                lines = self.first_lines.setdefault(one.reason, [])
                if len(lines) < _LINES_TOLD:
                    lines.append(one.line)

    def told(self) -> str:
        """The drops in words: `3 empty_text (lines 2, 3, 4)`."""
        return ", ".join(
            f"{count} {reason} (first at lines {', '.join(map(str, self.first_lines[reason]))})"
            for reason, count in sorted(self.dropped.items())
        )


def check(tallies: Sequence[Tally], most: float) -> None:
    """Raise BadData when the files of a split cannot be learned from.

    No file may be without rows or lose too many; one class is allowed in a file, not in all.
    """
    for tally in tallies:
        _check(tally, most)
    labels = {label for tally in tallies for label in tally.kept}
    if len(labels) < 2:
        names, rows = ", ".join(tally.file for tally in tallies), sum(t.rows for t in tallies)
        kept = sum(sum(tally.kept.values()) for tally in tallies)
        detail = f"all {kept} rows that are left of {rows} are {next(iter(labels))!r}"
        raise BadData(names, None, "one_class", detail)


def _check(tally: Tally, most: float) -> None:
    # A leak or an old label is cured by the drop and says nothing about the file.
    cured = tally.dropped.get("leakage", 0) + tally.dropped.get("in_feedback", 0)
    dropped = sum(tally.dropped.values()) - cured
    if not tally.kept:
        raise BadData(tally.file, None, "no_rows", tally.told() or "the file holds no record")
    if dropped > most * tally.rows:
        detail = f"{dropped} of {tally.rows} rows, {most:.1%} are allowed: {tally.told()}"
        raise BadData(tally.file, None, "too_many_drops", detail)
