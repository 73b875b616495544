"""A real server against many who are idle, slow or large at once; one connection: test_protocol."""

import asyncio
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from plugins.load import Load

from serving import connections

HEAD = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def load(bounded):
    """Callers of a server that is impatient; many files may be open here."""
    if connections.room(2500) < 2500:
        pytest.skip("2,500 open files are needed: raise the hard limit (ulimit -Hn)")
    return Load(bounded.url)


def address(server) -> tuple[str, int]:
    url = urlsplit(server.url)
    return url.hostname, url.port


def front(server) -> psutil.Process:
    return psutil.Process(server.process.pid)


def read_bytes(server) -> int:
    """What the front process has read in all, from sockets too."""
    lines = Path(f"/proc/{server.process.pid}/io").read_text().split()
    return int(lines[lines.index("rchar:") + 1])


@contextmanager
def many(server, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """So many connections that have said this much."""
    callers: list[socket.socket] = []
    for _ in range(count):
        callers.append(socket.create_connection(address(server), timeout=60))
        callers[-1].sendall(sent)  # at once: who says nothing is closed after two seconds
    yield callers
    for caller in callers:
        caller.close()


def drip(callers: list[socket.socket], within_s: float) -> list[bytes]:
    """Send each a byte a second until the server has closed all; what it said to them."""
    said: dict[socket.socket, bytes] = {}
    end = time.monotonic() + within_s
    while len(said) < len(callers) and time.monotonic() < end:
        time.sleep(1)
        for caller in set(callers) - said.keys():
            caller.setblocking(False)
            with suppress(BlockingIOError):
                try:
                    said[caller] = caller.recv(65536)
                    continue
                except ConnectionError:
                    said[caller] = b""
                    continue
            with suppress(OSError):
                caller.send(b"x")
    return list(said.values())


def test_two_thousand_idle_connections_do_not_stop_service(load, bounded):
    before = asyncio.run(load.closed_loop(2, seconds=1))
    with many(bounded, 2000, b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n") as idle:
        assert {caller.recv(65536)[9:12] for caller in idle} == {b"200"}
        during = asyncio.run(load.closed_loop(2, seconds=1))

    assert set(during.statuses) == {200}
    assert during.statuses[200] > before.statuses[200] / 20


def test_a_thousand_slow_callers_are_closed_and_harm_nobody(load, bounded):
    before = asyncio.run(load.closed_loop(2, seconds=1.5))
    body = HEAD + b"Content-Length: 999\r\n\r\n"
    with (
        many(bounded, 500, HEAD + b"X: ") as heads,
        many(bounded, 500, body) as bodies,
        ThreadPoolExecutor(1) as other,
    ):
        said = other.submit(drip, [*heads, *bodies], 60)
        during = asyncio.run(load.closed_loop(2, seconds=1.5))
        answers = said.result()

    assert len(answers) == 1000
    told = Counter(answer[9:12] for answer in answers)
    assert told[b"408"] > 500  # the rest: a reset overtook it
    assert set(during.statuses) == {200}
    assert during.statuses[200] > before.statuses[200] / 20


@pytest.mark.parametrize("framing", [b"Content-Length: 52428800", b"Transfer-Encoding: chunked"])
def test_of_eight_bodies_of_50_mb_little_is_read(live, framing):
    piece = b"x" * 65536 if framing.startswith(b"C") else b"10000\r\n" + b"x" * 65536 + b"\r\n"
    answers: list[bytes] = []

    def send() -> None:
        with socket.create_connection(address(live), timeout=60) as caller:
            with suppress(ConnectionError):
                caller.sendall(HEAD + framing + b"\r\n\r\n")
                for _ in range(800):
                    caller.sendall(piece)
            with suppress(ConnectionError):
                answers.append(caller.recv(65536))

    read, memory = read_bytes(live), front(live).memory_info().rss
    senders = [threading.Thread(target=send) for _ in range(8)]
    for one in senders:
        one.start()
    for one in senders:
        one.join(60)

    assert {answer[9:12] for answer in answers} == {b"413"}
    assert (read_bytes(live) - read) / 8 <= 65536 + 65536
    assert front(live).memory_info().rss - memory < 50 * MEBIBYTE


def test_a_soft_limit_of_open_files_is_raised():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        assert connections.room(700) == 700
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 700
        assert connections.room(10**9) < hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
