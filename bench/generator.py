"""The load generator, a process of its own: one phase from standard input, its result on output.

Bare asyncio with requests that are bytes before the clock starts, so that it takes little of the
CPU that the server is measured with; what it takes is told. Closed loop: so many connections, each
asks again when answered. Open loop: requests are due at random times of a given rate whether or not
earlier ones were answered, and each one's latency counts from when it was due, not from when it
could be sent (no coordinated omission).
"""

import asyncio
import gc
import json
import random
import resource
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import psutil
import uvloop

_MOST_CONNECTIONS = 2000
# In a closed loop each connection should have been answered so often, or the rate is chance; for
# that a window may become so many times longer.
_ROUNDS, _WINDOWS = 3, 4
_CUT = b"\r\n\r\n"
_LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True)
class Phase:
    """What is asked of which server, and for how long; closed loop unless a rate is given.

    `once` ends a closed loop before its time, when each text was sent.
    """

    port: int
    path: str
    bodies: list[str]
    pid: int
    seconds: float
    connections: int = 0
    rate: float = 0.0
    once: bool = False
    warm_s: float = 0.5
    drain_s: float = 20.0
    seed: int = 1
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """Latencies in microseconds of what was due in the window; answers by number of the text."""

    latencies: list[int]
    done_in_window: int
    statuses: dict[str, int]
    seconds: float
    server_cpu_s: float
    own_cpu_s: float
    answers: dict[str, str]


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request on it."""

    def __init__(self, ended: "Callable[[Connection, int, bytes], None]") -> None:
        self._ended = ended
        self.transport: asyncio.Transport | None = None
        self.number, self.due = -1, 0.0
        self._buffer = b""
        self._needed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is of no such class

    def ask(self, number: int, request: bytes, due: float) -> None:
        assert self.transport
        self.number, self.due, self._buffer, self._needed = number, due, b"", 0
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._needed:
            end = self._buffer.find(_CUT)
            if end < 0:
                return
            head = self._buffer[:end].lower()
            at = head.find(_LENGTH)
            if at < 0:
                raise SystemExit(f"an answer without its length: {head!r}")
            self._needed = end + 4 + int(head[at + len(_LENGTH) :].split(b"\r", 1)[0])
        if len(self._buffer) >= self._needed:
            answer, status = self._buffer, int(self._buffer[9:12])
            body = answer[answer.find(_CUT) + 4 :]
            self._ended(self, status, body)

    def connection_lost(self, reason: Exception | None) -> None:
        self.transport = None
        if self.number >= 0:
            self._ended(self, 0, b"")


class Run:
    """One phase; the two loops differ only in when the next request is due."""

    def __init__(self, phase: Phase) -> None:
        self.phase = phase
        self.requests = [_request(phase, body) for body in phase.bodies]
        self.loop = asyncio.get_running_loop()
        self.next = 0
        self.waiting = 0
        self.records: list[tuple[float, float, int]] = []
        self.answers: dict[int, bytes] = {}
        self.idle: list[Connection] = []
        self.opened = 0
        self.backlog: deque[float] = deque()
        self.began = self.ends = 0.0
        self.over = False  # nothing more is asked

    async def connect(self) -> Connection | None:
        self.opened += 1
        try:
            made = await self.loop.create_connection(
                lambda: Connection(self.ended), "127.0.0.1", self.phase.port
            )
        except OSError:
            self.opened -= 1
            return None
        return made[1]

    def ask(self, connection: Connection, due: float) -> None:
        number, self.next = self.next, (self.next + 1) % len(self.requests)
        if self.phase.once and not self.next:
            self.over, self.ends = True, time.perf_counter()
        self.waiting += 1
        connection.ask(number, self.requests[number], due)

    def ended(self, connection: Connection, status: int, body: bytes) -> None:
        now = time.perf_counter()
        self.waiting -= 1
        self.records.append((connection.due, now, status))
        if status == 200:
            self.answers[connection.number] = body
        connection.number = -1
        if not connection.transport or connection.transport.is_closing():
            self.opened -= 1
            if not (self.phase.rate or self.over):
                self.loop.create_task(self.start_one())
        elif self.phase.rate:
            if self.backlog:
                self.ask(connection, self.backlog.popleft())
            else:
                self.idle.append(connection)
        elif not self.over:
            self.ask(connection, now)

    async def start_one(self) -> None:
        """A connection of the closed loop; one that is refused comes back a little later."""
        while not self.over:
            if connection := await self.connect():
                self.ask(connection, time.perf_counter())
                return
            now = time.perf_counter()
            self.records.append((now, now, 0))
            await asyncio.sleep(0.01)

    async def send_due(self) -> None:
        """The open loop: Poisson arrivals, the same at every run."""
        chance = random.Random(self.phase.seed)  # nosec B311
        due = self.began - self.phase.warm_s
        while due < self.ends:
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            self.send(due)
            due += chance.expovariate(self.phase.rate)

    def send(self, due: float) -> None:
        while self.idle:
            connection = self.idle.pop()
            if connection.transport and not connection.transport.is_closing():
                self.ask(connection, due)
                return
            self.opened -= 1
        self.backlog.append(due)
        if self.opened < _MOST_CONNECTIONS:
            self.loop.create_task(self.open_for_backlog())

    async def open_for_backlog(self) -> None:
        connection = await self.connect()
        if connection and self.backlog:
            self.ask(connection, self.backlog.popleft())
        elif connection:
            self.idle.append(connection)
        elif self.backlog:
            self.records.append((self.backlog.popleft(), time.perf_counter(), 0))

    async def run(self) -> Outcome:
        phase = self.phase
        processes = _tree(phase.pid)
        start = time.perf_counter()
        self.began = start + phase.warm_s
        self.ends = self.began + phase.seconds
        sending: asyncio.Future[Any]
        if phase.rate:
            sending = self.loop.create_task(self.send_due())
        else:
            sending = asyncio.gather(*(self.start_one() for _ in range(phase.connections)))
        await asyncio.sleep(self.began - time.perf_counter())
        server, own = _cpu(processes), time.process_time()
        await self.wait_for_end()
        server, own = _cpu(_tree(phase.pid)) - server, time.process_time() - own
        await sending
        while (self.waiting or self.backlog) and time.perf_counter() < self.ends + phase.drain_s:
            await asyncio.sleep(0.005)
        return self.outcome(server, own)

    async def wait_for_end(self) -> None:
        """The window's end, which a server that answers too few puts off, by whole windows."""
        phase = self.phase
        least, latest = phase.connections * _ROUNDS, self.began + phase.seconds * _WINDOWS
        while not self.over:
            left = self.ends - time.perf_counter()
            if left > 0:
                await asyncio.sleep(min(left, 0.5))
            elif len(self.records) < least and self.ends < latest and not phase.once:
                self.ends += phase.seconds
            else:
                self.over = True

    def outcome(self, server_cpu_s: float, own_cpu_s: float) -> Outcome:
        began, ends = self.began, self.ends
        due = [record for record in self.records if began <= record[0] < ends]
        statuses = Counter(str(status or "lost") for _, _, status in due)
        if unanswered := self.waiting + len(self.backlog):
            statuses["unanswered"] = unanswered
        return Outcome(
            latencies=[int((end - at) * 1e6) for at, end, status in due if status == 200],
            done_in_window=sum(began <= end < ends and s == 200 for _, end, s in self.records),
            statuses=dict(statuses),
            seconds=ends - began,
            server_cpu_s=server_cpu_s,
            own_cpu_s=own_cpu_s,
            answers={str(n): body.decode("utf-8") for n, body in self.answers.items()},
        )


def _request(phase: Phase, body: str) -> bytes:
    raw = body.encode()
    told = "".join(f"{name}: {value}\r\n" for name, value in phase.headers.items())
    head = (
        f"POST {phase.path} HTTP/1.1\r\nHost: 127.0.0.1:{phase.port}\r\n"
        f"Content-Type: application/json\r\n{told}Content-Length: {len(raw)}\r\n\r\n"
    )
    return head.encode() + raw


def _tree(pid: int) -> list[psutil.Process]:
    top = psutil.Process(pid)
    return [top, *top.children(recursive=True)]


def _cpu(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        try:
            spent = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += spent.user + spent.system
    return total


def main() -> None:
    """Run the phase that standard input holds."""
    phase = Phase(**json.load(sys.stdin))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.disable()  # a phase is seconds long, and a pause here would look like the server's

    async def measured() -> Outcome:
        return await Run(phase).run()

    outcome = uvloop.run(measured())
    json.dump(asdict(outcome), sys.stdout)


if __name__ == "__main__":
    main()
