"""Callers who ask an endpoint all the time, and what each of them was told."""

import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Self

import httpx

from deployments.acts import Heard

_CALLERS = 4
_PAUSE_S = 0.16  # four of them ask some 20 to 25 times a second
_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Told:
    """One answer: when it came (monotonic), from which version, with which status (0: none)."""

    at: float
    version: str
    status: int


class Crowd:
    """`with Crowd(url, key) as crowd:` asks from threads; what was told grows in `told`.

    `texts` do not end, and each is another one: an answer that is known costs the model nothing.
    """

    def __init__(self, url: str, key: str, texts: Iterable[str] | None = None) -> None:
        self.told: list[Told] = []
        self._texts = iter(_headlines() if texts is None else texts)
        self._client = httpx.Client(
            base_url=url, headers={"X-API-Key": key}, timeout=_TIMEOUT_S, trust_env=False
        )
        self._stopping = threading.Event()
        self._turn = threading.Lock()
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(_CALLERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._client.close()

    def since(self, moment: float) -> list[Told]:
        return [one for one in list(self.told) if one.at >= moment]

    def heard(self, since: float) -> Heard:
        """What the callers got from that moment until now."""
        told = self.since(since)
        good = [one for one in told if one.status == 200]
        times = [since, *sorted(one.at for one in good), time.monotonic()]
        return Heard(
            len(told),
            dict(Counter(one.version for one in told if one.status != 200)),
            frozenset(one.version for one in good),
            max(later - earlier for earlier, later in pairwise(times)),
        )

    def _ask_on(self) -> None:
        while not self._stopping.wait(_PAUSE_S):
            with self._turn:
                text = next(self._texts)
            try:
                answer = self._client.post("/predict", json={"text": text})
                version, status = answer.headers.get("X-Model-Version", ""), answer.status_code
            except httpx.HTTPError:
                version, status = "", 0
            self.told.append(Told(time.monotonic(), version, status))


def _headlines() -> Iterable[str]:
    return (f"Stocks rallied {points} points after the bank kept rates" for points in count(1))
