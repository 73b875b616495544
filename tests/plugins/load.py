"""Callers of a live server: so many at once, or so many a second."""

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Seen:
    """What callers got; `took` holds the seconds of each status."""

    seconds: float = 0
    took: dict[int, list[float]] = field(default_factory=dict)
    hints: list[str] = field(default_factory=list)

    def add(self, status: int, seconds: float) -> None:
        self.took.setdefault(status, []).append(seconds)

    @property
    def statuses(self) -> Counter[int]:
        return Counter({status: len(took) for status, took in self.took.items()})

    @property
    def goodput(self) -> float:
        """Answers a second."""
        return self.statuses[200] / self.seconds

    def percentile(self, share: float, *statuses: int) -> float:
        ranked = sorted(itertools.chain(*(self.took.get(one, []) for one in statuses or [200])))
        return ranked[int(share * (len(ranked) - 1))] if ranked else 0.0


class Load:
    """Asks one server; texts are never the same twice."""

    def __init__(self, url: str, texts: int = 1, deadline_ms: int = 0, word: str = "the") -> None:
        """`word`: with which each text begins."""
        self._host, self._port = urlsplit(url).hostname, urlsplit(url).port
        self._texts, self._word = texts, word
        self._deadline = f"X-Request-Timeout-Ms: {deadline_ms}\r\n" if deadline_ms else ""
        self._numbers = itertools.count(1)

    def request(self) -> bytes:
        texts = [
            f"{self._word} team {next(self._numbers)} won a cup" * 3 for _ in range(self._texts)
        ]
        path, value = ("/predict/batch", {"texts": texts})
        if self._texts == 1:
            path, value = "/predict", {"text": texts[0]}
        body = json.dumps(value)
        return (
            f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            f"{self._deadline}Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    async def closed_loop(self, callers: int, seconds: float, pause_s: float = 0) -> Seen:
        """So many callers, each asking again when it has its answer, a pause after a refusal."""
        seen, end = Seen(), time.monotonic() + seconds

        async def ask() -> None:
            pair = await asyncio.open_connection(self._host, self._port)
            while time.monotonic() < end:
                if await self._exchange(pair, self.request(), seen) != 200:
                    await asyncio.sleep(pause_s)
            pair[1].close()

        return await self._timed(seen, [ask() for _ in range(callers)])

    async def open_loop(self, rate: float, seconds: float, make: Callable[[], bytes] | None = None):
        """So many requests a second, whether or not those before have their answer."""
        seen, idle = Seen(), []
        began = time.monotonic()

        async def ask(number: int) -> None:
            await asyncio.sleep(max(0, began + number / rate - time.monotonic()))
            pair = idle.pop() if idle else await asyncio.open_connection(self._host, self._port)
            await self._exchange(pair, (make or self.request)(), seen)
            idle.append(pair)

        await self._timed(seen, [ask(number) for number in range(int(rate * seconds))])
        for _, writer in idle:
            writer.close()
        return seen

    async def _timed(self, seen: Seen, asked) -> Seen:
        began = time.monotonic()
        await asyncio.gather(*asked)
        seen.seconds = time.monotonic() - began
        return seen

    async def _exchange(self, pair, request: bytes, seen: Seen) -> int:
        reader, writer = pair
        began = time.monotonic()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        await reader.readexactly(int(fields["content-length"]))
        status = int(head[9:12])
        seen.add(status, time.monotonic() - began)
        if "retry-after" in fields:
            seen.hints.append(fields["retry-after"])
        return status
