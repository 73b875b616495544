"""How often something happens."""

import math
import time


class Rate:
    """Times a second, as of about the last second."""

    def __init__(self) -> None:
        self._times = 0.0
        self._at = 0.0

    def once_more(self, now: float | None = None) -> float:
        """Count one now; the rate with it."""
        now = time.monotonic() if now is None else now
        self._times = 1 + self._times * math.exp(self._at - now)
        self._at = now
        return self._times
