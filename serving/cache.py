"""Answers that are known already: the same text to the same bundle is not computed twice."""

import time
from collections import OrderedDict
from collections.abc import Sequence

from serving.contract import Answer


class Cache:
    """The answers to the texts asked last; a bundle's digest keeps versions apart."""

    def __init__(self, max_size: int, ttl_s: float) -> None:
        self._max_size, self._ttl_s = max_size, ttl_s
        self._known: OrderedDict[tuple[str, str], tuple[float, Answer]] = OrderedDict()
        self.hits = self.misses = 0

    def get(self, digest: str, texts: Sequence[str]) -> list[Answer | None]:
        """For each text its answer, where it is known."""
        now = time.monotonic()
        return [self._one((digest, text), now) for text in texts]

    def _one(self, key: tuple[str, str], now: float) -> Answer | None:
        if found := self._known.get(key):
            ends, answer = found
            if now < ends:
                self._known.move_to_end(key)
                self.hits += 1
                return answer
            del self._known[key]
        self.misses += 1
        return None

    def put(self, digest: str, texts: Sequence[str], answers: Sequence[Answer]) -> None:
        known, ends = self._known, time.monotonic() + self._ttl_s
        for text, answer in zip(texts, answers, strict=True):
            known[digest, text] = ends, answer
            known.move_to_end((digest, text))
        while len(known) > self._max_size:
            known.popitem(last=False)
