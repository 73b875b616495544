"""What the endpoint's processes take of the machine."""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil

from serving.processes import cores

_GONE = (psutil.NoSuchProcess, psutil.AccessDenied)


class Resources:
    """CPU and memory of this process and of those that hold the models."""

    def __init__(self, children: Callable[[], Iterable[int]]) -> None:
        self._children = children
        self._known: dict[int, psutil.Process] = {}
        self._busy = {one.pid: _seconds(one) for one in self._processes()}
        self._at = time.monotonic()
        self._percent = 0.0

    def cpu_percent(self) -> float:
        """Of all cores this process may use, since the last time somebody asked."""
        busy = {one.pid: _seconds(one) for one in self._processes()}
        passed = time.monotonic() - self._at
        if passed >= 0.1:  # two who ask at once get the same answer
            # Of a process that was not here the last time all is new; one that ended takes with
            # it what it used since then.
            used = sum(seconds - self._busy.get(pid, 0.0) for pid, seconds in busy.items())
            self._percent = 100 * max(0.0, used) / (passed * cores())
            self._busy, self._at = busy, time.monotonic()
        return self._percent

    def memory_bytes(self) -> float:
        """Resident memory; pages that processes share are counted for each."""
        total = 0.0
        for one in self._processes():
            with suppress(*_GONE):
                total += one.memory_info().rss
        return total

    def _processes(self) -> list[psutil.Process]:
        for pid in (pids := {os.getpid(), *self._children()}) - self._known.keys():
            with suppress(*_GONE):
                self._known[pid] = psutil.Process(pid)
        # A number may belong to another process by now: is_running compares the start as well.
        self._known = {p: one for p, one in self._known.items() if p in pids and one.is_running()}
        return list(self._known.values())


def _seconds(process: psutil.Process) -> float:
    with suppress(*_GONE):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0
