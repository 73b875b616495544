"""Which ports a local stack listens on: free when it is started, and its own once it answers."""

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

HOST = "127.0.0.1"
_LAST = 65_000


@contextmanager
def held() -> Iterator[None]:
    """While it lasts no other stack of this user chooses ports.

    A chosen port stays free, for others too, until its server listens many seconds later.
    """
    file = Path(tempfile.gettempdir()) / f"perennial-ports-{os.getuid()}.lock"
    with file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another stack is starting; this one starts when that one is up", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def choose(wanted: Mapping[str, int]) -> dict[str, int]:
    """The wanted port of each service, the next free one where somebody else listens."""
    chosen: dict[str, int] = {}
    for name, first in wanted.items():
        taken = set(chosen.values())
        chosen[name] = next(
            port for port in range(first, _LAST) if port not in taken and free(port)
        )
        if chosen[name] != first:
            print(f"port {first} is taken; {name} listens on {chosen[name]}")
    return chosen


def free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def listener(port: int) -> psutil.Process | None:
    """Who listens on the port; None when nobody does, or a process of another user."""
    for one in psutil.net_connections("tcp4"):
        if one.status == psutil.CONN_LISTEN and one.laddr == (HOST, port) and one.pid:
            with suppress(psutil.NoSuchProcess):
                return psutil.Process(one.pid)
    return None
