"""Waiting for something outside: with a pause that grows, and never for ever."""

import time
from collections.abc import Callable
from typing import TypeVar

from tasks.errors import WaitTimeout

T = TypeVar("T")

_FIRST_S = 0.5
_LONGEST_S = 10.0


def until(look: Callable[[], T | None], timeout_s: float, what: Callable[[], str]) -> T:
    """The first thing that `look` finds; WaitTimeout with `what()` when it finds none in time."""
    end = time.monotonic() + timeout_s
    pause = _FIRST_S
    while True:
        if (found := look()) is not None:
            return found
        if time.monotonic() + pause > end:
            raise WaitTimeout(f"{what()} after {timeout_s:.0f} s")
        time.sleep(pause)
        pause = min(pause * 1.3, _LONGEST_S)
