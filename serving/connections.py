"""Which connections wait for their caller, and which of them have to go."""

import asyncio
import resource
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from operator import itemgetter
from typing import Protocol

from serving.settings import ServingSettings

_SWEEP_S = 0.25
_RESERVED = 128  # descriptors for files, pipes to the model processes, and a new bundle's
_MANY = 20  # one in so many goes at once, so that a flood is not looked through for each caller


class Phase(StrEnum):
    """What a connection waits for; while its request is answered it waits for nothing."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    SEND = "send"  # its caller does not take the answer
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a caller may take, and how much it may hold."""

    head_s: float = 10
    body_s: float = 15
    keep_alive_s: float = 75
    head_bytes: int = 16_384
    connections: int = 10_000

    def seconds(self, phase: Phase) -> float:
        match phase:
            case Phase.IDLE:
                return self.keep_alive_s
            case Phase.HEAD:
                return self.head_s
            case Phase.CLOSE:
                return min(2, self.body_s)
            case _:
                return self.body_s


class Connection(Protocol):
    """What is known here of a connection."""

    def overdue(self, phase: Phase) -> bool:
        """End it unless it is being answered; whether it was."""


class Connections:
    """All connections of one server; those that wait stand in line by age, phase by phase."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.open = 0
        self.late_s = 0.0  # how long what is due waits for its turn in the event loop
        self.closed: Counter[str] = Counter()
        self._lines: dict[Phase, dict[Connection, float]] = {phase: {} for phase in Phase}
        self._loop: asyncio.AbstractEventLoop | None = None

    def opened(self, one: Connection, loop: asyncio.AbstractEventLoop) -> None:
        """Count a new connection; when there are too many the idlest of all make room."""
        self.open += 1
        self.enter(Phase.HEAD, one, loop.time())
        if self._loop is None:
            self._loop = loop
            self._sweep(loop, loop.time())
        if self.open > self.limits.connections:
            self._make_room()

    def lost(self) -> None:
        self.open -= 1

    def enter(self, phase: Phase, one: Connection, now: float) -> None:
        self._lines[phase][one] = now

    def leave(self, phase: Phase, one: Connection) -> None:
        self._lines[phase].pop(one, None)

    def waiting(self) -> Iterable[tuple[Phase, int]]:
        """How many connections wait, and for what."""
        return ((phase, len(line)) for phase, line in self._lines.items())

    def _make_room(self) -> None:
        many = 1 + self.open // _MANY
        # Who waits for a request costs one reconnect; who is in the middle of one loses it.
        for phases in ((Phase.CLOSE,), (Phase.IDLE, Phase.HEAD), (Phase.SEND, Phase.BODY)):
            oldest = [
                (since, phase, one)
                for phase in phases
                for one, since in islice(self._lines[phase].items(), many)
            ]
            oldest.sort(key=itemgetter(0))
            if sum(self._end(one, phase, "crowded") for _, phase, one in oldest[:many]):
                return

    def _sweep(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        self.late_s = now - due
        for phase, line in self._lines.items():
            latest = now - self.limits.seconds(phase)
            overdue = []
            for one, since in line.items():  # in the order of their age
                if since > latest:
                    break
                overdue.append(one)
            for one in overdue:
                self._end(one, phase, phase)
        loop.call_later(_SWEEP_S, self._sweep, loop, now + _SWEEP_S)

    def _end(self, one: Connection, phase: Phase, reason: str) -> bool:
        self.leave(phase, one)
        ended = one.overdue(phase)
        if ended and phase is not Phase.CLOSE:
            self.closed[reason] += 1
        return ended


def limits_of(settings: ServingSettings) -> Limits:
    """The limits that the settings give, as far as this process may open files."""
    return Limits(
        head_s=settings.head_timeout_s,
        body_s=settings.body_timeout_s,
        keep_alive_s=settings.keep_alive_s,
        head_bytes=settings.max_head_bytes,
        connections=room(settings.max_connections),
    )


def room(wanted: int) -> int:
    """Raise the soft limit of open files for so many connections; how many there is room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted + _RESERVED
    allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    available = wanted if soft == resource.RLIM_INFINITY else soft - _RESERVED
    return max(16, min(wanted, available))
