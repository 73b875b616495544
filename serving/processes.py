"""How the endpoint's processes live and die together."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from functools import cache
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_MOST_RESTARTS = 5
_WINDOW_S = 60
_NICE = 5


def follow_parent(parent: int) -> None:
    """Die when the parent dies, and only then: an ordinary stop is the parent's to carry out.

    So a SIGTERM to the whole process group lets requests in flight end, and a SIGKILL of the
    parent leaves no orphan that holds the port or the memory.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked to be told
        os._exit(1)


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def set_back(pid: int) -> bool:
    """Let a process wait for all others while it loads; whether that was done.

    Not where it could not be undone, as in a container without `--ulimit nice=20`.
    """
    if done := _can_put_back():
        _renice(pid, os.getpriority(os.PRIO_PROCESS, 0) + _NICE)
    return done


def put_back(pid: int) -> None:
    """Let a process, with all its threads, run as this one does."""
    _renice(pid, os.getpriority(os.PRIO_PROCESS, 0))


def _renice(pid: int, nice: int) -> None:
    tasks = Path(f"/proc/{pid}/task")
    with suppress(OSError):  # it may have ended
        for thread in [int(entry.name) for entry in tasks.iterdir()]:
            os.setpriority(os.PRIO_PROCESS, thread, nice)


@cache
def _can_put_back() -> bool:
    """Tried out by a thread that ends at once: what is allowed depends on too much to be asked."""
    allowed = []

    def attempt() -> None:
        me = threading.get_native_id()
        now = os.getpriority(os.PRIO_PROCESS, me)
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, me, now + 1)
            os.setpriority(os.PRIO_PROCESS, me, now)
            allowed.append(sys.platform == "linux")

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return any(allowed)


class Restarts:
    """When a process may be started again: at once, then later each time, five in a minute."""

    def __init__(self) -> None:
        self._at: deque[float] = deque(maxlen=_MOST_RESTARTS)

    def delay(self, now: float | None = None) -> float:
        """Seconds until the start that is asked for now; counts it."""
        now = time.monotonic() if now is None else now
        recent = [at for at in self._at if at > now - _WINDOW_S]
        if len(recent) == _MOST_RESTARTS:
            wait = recent[0] + _WINDOW_S - now
        else:
            wait = 2.0 ** (len(recent) - 1) if recent else 0.0
        self._at.append(now + wait)
        return wait
