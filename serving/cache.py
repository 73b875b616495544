"""Answers that are known already: the same text to the same bundle is not computed twice."""

from collections.abc import Sequence

from cachetools import TTLCache

from serving.contract import Answer


class Cache:
    """The answers to the texts asked last; a bundle's digest keeps versions apart."""

    def __init__(self, max_size: int, ttl_s: float) -> None:
        self._known: TTLCache[tuple[str, str], Answer] = TTLCache(max_size, ttl_s)
        self.hits = self.misses = 0

    def get(self, digest: str, texts: Sequence[str]) -> list[Answer | None]:
        """For each text its answer, where it is known."""
        found = [self._one((digest, text)) for text in texts]
        missing = found.count(None)
        self.misses += missing
        self.hits += len(found) - missing
        return found

    def _one(self, key: tuple[str, str]) -> Answer | None:
        try:
            return self._known[key]  # its `get` looks twice
        except KeyError:
            return None

    def put(self, digest: str, texts: Sequence[str], answers: Sequence[Answer]) -> None:
        for text, answer in zip(texts, answers, strict=True):
            self._known[digest, text] = answer
