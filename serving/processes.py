"""How the endpoint's processes live and die together."""

import ctypes
import os
import signal
import sys
from functools import partial

TOLD = 3  # exit code of a child that has written its reason to stderr
_PR_SET_PDEATHSIG = 1


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


def followers_from_now_on() -> None:
    """Make every process that this one forks follow it."""
    os.register_at_fork(after_in_child=partial(follow_parent, os.getpid()))
