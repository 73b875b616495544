"""Texts that may have ended a model process, so that none of them does it over and over."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Sequence
from enum import IntEnum

_MOST = 1024
_REMEMBERED_S = 600


class Standing(IntEnum):
    """How often a process ended while it held the text."""

    CLEAR = 0
    SUSPECT = 1  # it had company: it is tried once more, alone
    CONDEMNED = 2


class Suspects:
    """What is held against each text, by its hash, for ten minutes."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[Standing, float]] = OrderedDict()

    def worst(self, texts: Sequence[str]) -> Standing:
        """The worst standing among the texts; free while nothing has ever ended a process."""
        if not self._known:
            return Standing.CLEAR
        return max(map(self._standing, texts), default=Standing.CLEAR)

    def accuse(self, text: str) -> None:
        """A process ended while it held the text."""
        key = _key(text)
        worse = min(self._standing(text) + 1, Standing.CONDEMNED)
        self._known[key] = (Standing(worse), time.monotonic() + _REMEMBERED_S)
        self._known.move_to_end(key)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    def acquit(self, text: str) -> None:
        """The text was answered alone."""
        self._known.pop(_key(text), None)

    def _standing(self, text: str) -> Standing:
        key = _key(text)
        standing, until = self._known.get(key, (Standing.CLEAR, 0.0))
        if standing and until <= time.monotonic():
            del self._known[key]
            return Standing.CLEAR
        return standing


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
