"""What the health flow makes of its looks: how things stand, who is told, and when again.

A place that is not healthy is told at the first look, again every six hours while that lasts, and
once more when two looks in a row found it healthy: then it is over, and the next one is news.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from tasks.records import Answer

# drift-check/hourly of prefect.yaml: an hour apart, and two may be missed.
DRIFT_CHECKS = timedelta(hours=2)

_AGAIN = timedelta(hours=6)
_WELL_LOOKS = 2  # one may be luck: a place that comes and goes is told once, not every time


class State(StrEnum):
    """Only the first is good. What could not be looked at is never taken for healthy."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNREACHABLE = "unreachable"
    OVERDUE = "overdue"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at one thing found; `command` is what to type when it is not healthy."""

    name: str
    where: str
    state: State
    detail: str = ""
    version: str = ""
    latency_ms: float | None = None
    command: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered between looks; `told` while people believe that it is not healthy."""

    state: State
    since: datetime
    told: datetime | None = None
    well: int = 0


@dataclass(frozen=True, slots=True)
class News:
    """A message; `about` is another one for each time that it happens."""

    subject: str
    message: str
    command: str
    about: str


@dataclass(frozen=True, slots=True)
class Report:
    """All looks of one run, each with how long it has been so."""

    rows: tuple[tuple[Look, datetime], ...]

    @property
    def healthy(self) -> bool:
        return all(look.state is State.HEALTHY for look, _ in self.rows)


def judged(name: str, where: str, answer: Answer, command: str) -> Look:
    """200 is healthy, silence unreachable, anything else unhealthy."""
    state = {200: State.HEALTHY, 0: State.UNREACHABLE}.get(answer.status, State.UNHEALTHY)
    told = "" if answer.status == 200 else answer.body
    if answer.status not in (0, 200):
        told = f"status {answer.status}: {told}"
    took = 1000 * answer.seconds if answer.status else None
    return Look(name, where, state, told, answer.version, took, command)


def checked(
    name: str, where: str, last: datetime | None, before: Known | None, now: datetime, command: str
) -> Look:
    """Whether a check that is due every hour came to an end within two.

    One that never did has as long from when it was first looked for.
    """
    if before is None:
        begun: datetime | None = now
    elif before.state is State.OVERDUE:
        begun = last
    else:
        begun = max(last or before.since, before.since)
    ended = f"the last one ended {last:%Y-%m-%d %H:%M} UTC" if last else "none has ended yet"
    late = begun is None or now - begun > DRIFT_CHECKS
    return Look(name, where, State.OVERDUE if late else State.HEALTHY, ended, command=command)


def after(before: Known | None, look: Look, now: datetime) -> Known:
    """What is known after the look."""
    well = look.state is State.HEALTHY
    if before is None:
        return Known(look.state, now, well=int(well))
    since = before.since if before.state is look.state else now
    return Known(look.state, since, before.told, before.well + 1 if well else 0)


def news(known: Known, look: Look, now: datetime) -> News | None:
    """What people are to be told, if anything."""
    since = f"since {known.since:%Y-%m-%d %H:%M} UTC"
    about = known.since.isoformat()
    if look.state is State.HEALTHY:
        if known.told is None or known.well < _WELL_LOOKS:
            return None
        version = f", version {look.version}" if look.version else ""
        return News(f"{look.name} is healthy again", f"{look.where}{version}, {since}", "", about)
    if known.told is not None and now - known.told < _AGAIN:
        return None
    message = f"{look.where} is {look.state} {since}: {_line(look.detail)}"
    return News(f"{look.name} is {look.state}", message, look.command, about)


def told(known: Known, now: datetime) -> Known:
    """What is known once people were told of it."""
    return replace(known, told=None if known.state is State.HEALTHY else now)


def page(report: Report) -> str:
    """The report as Markdown; what is wrong stands above the table in full."""
    bad = [look for look, _ in report.rows if look.state is not State.HEALTHY]
    lines = [f"- **{one.name}** is {one.state}: {_line(one.detail)}" for one in bad]
    names = ("place", "state", "version", "latency ms", "since (UTC)", "address")
    rows = [names, ("---",) * len(names), *(_cells(*row) for row in report.rows)]
    table = "\n".join(f"| {' | '.join(one.replace('|', '/') for one in row)} |" for row in rows)
    return "\n\n".join(["# Health", *(["\n".join(lines)] if lines else []), table]) + "\n"


def text(report: Report) -> str:
    """The report for a terminal."""
    names = ("place", "state", "version", "ms", "since (UTC)", "address")
    rows = [names, *(_cells(*row) for row in report.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_padded(row, widths) for row in rows]
    for look, _ in report.rows:
        if look.state is not State.HEALTHY:
            lines.append(f"{look.name} is {look.state}: {_line(look.detail)}")
            lines += [f"  next: {look.command}"] if look.command else []
    return "\n".join(lines)


def headline(report: Report) -> str:
    """How many are healthy, and what the others are."""
    bad = [
        f"{look.name} {look.state}" for look, _ in report.rows if look.state is not State.HEALTHY
    ]
    return "; ".join(bad) or f"all {len(report.rows)} are healthy"


def _cells(look: Look, since: datetime) -> tuple[str, ...]:
    took = "" if look.latency_ms is None else f"{look.latency_ms:.0f}"
    state = str(look.state)
    return (look.name, state, look.version, took, f"{since:%Y-%m-%d %H:%M}", look.where)


def _padded(row: Iterable[str], widths: Iterable[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return "  ".join(cells).rstrip()


def _line(detail: str) -> str:
    return " ".join(detail.split())[:300] or "no reason given"
