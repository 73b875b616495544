"""What a rehearsal expected of each act and what happened, as a table with a verdict."""

from dataclasses import dataclass

SILENCE_S = 5.0  # a busy laptop may keep a caller waiting; no release may


@dataclass(frozen=True, slots=True)
class Ending:
    """How an act ended: the flow run, the journal, who answers callers, and the last look.

    `look` is the share of callers and what was found there, empty where nothing was looked at.
    """

    run: str
    journal: str
    version: str
    look: str = ""

    def __str__(self) -> str:
        look = f", {self.look}" if self.look else ""
        return f"{self.run}, {self.journal}, version {self.version}{look}"


@dataclass(frozen=True, slots=True)
class Heard:
    """What callers got: how many asked, which version failed how many of them, who answered.

    `failed` counts by version, "" where the answer named none; `silence_s` is the longest time
    in which no caller got an answer.
    """

    requests: int
    failed: dict[str, int]
    answered: frozenset[str]
    silence_s: float


@dataclass(frozen=True, slots=True)
class Act:
    """`passed` are the versions that may answer, `may_fail` is the one that was made bad."""

    name: str
    expected: Ending
    happened: Ending
    heard: Heard
    seconds: float
    passed: frozenset[str]
    may_fail: str | None = None
    note: str = ""

    @property
    def differs(self) -> tuple[str, ...]:
        """What was not as expected; empty when all was."""
        heard, found = self.heard, []
        if self.expected != self.happened:
            found.append(f"expected {self.expected}; happened {self.happened}")
        wrong = {one or "nobody": n for one, n in heard.failed.items() if one != self.may_fail}
        found += [f"{n} requests failed by {one}" for one, n in sorted(wrong.items())]
        if strange := heard.answered - self.passed:
            found.append(f"answered by {', '.join(sorted(strange))}, which never passed")
        if heard.silence_s > SILENCE_S:
            found.append(f"nobody answered for {heard.silence_s:.1f} s")
        if self.may_fail and not heard.failed.get(self.may_fail):
            found.append(f"version {self.may_fail} was to fail some requests and failed none")
        return tuple(found)


def table(acts: list[Act]) -> str:
    """A line for each act; below it what is worth a note and what differs."""
    head = ("act", "expected", "happened", "seconds", "requests", "failed")
    rows = [head, *map(_cells, acts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [_line(row, widths) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    lines.append("")
    lines += [f"{act.name}: {act.note}" for act in acts if act.note]
    longest = max((act.heard.silence_s for act in acts), default=0)
    lines.append(f"longest time without an answer: {longest:.1f} s")
    lines += [f"DIFFERS  {act.name}: {one}" for act in acts for one in act.differs]
    return "\n".join(lines)


def _cells(act: Act) -> tuple[str, ...]:
    failed = sum(act.heard.failed.values())
    numbers = (f"{act.seconds:.0f}", f"{act.heard.requests:,}", f"{failed:,}")
    return (act.name, str(act.expected), str(act.happened), *numbers)


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    """Words to the left, numbers to the right."""
    words = [cell.ljust(width) for cell, width in zip(row[:3], widths[:3], strict=True)]
    numbers = [cell.rjust(width) for cell, width in zip(row[3:], widths[3:], strict=True)]
    return "  ".join([*words, *numbers])
