"""How the endpoint's processes live and die together."""

import ctypes
import os
import signal
import sys
import time
from collections import deque

_PR_SET_PDEATHSIG = 1
_MOST_RESTARTS = 5
_WINDOW_S = 60


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
