"""A dynamic batcher by hand: bare ASGI on uvicorn, the bundle's own engine, one inference thread.

What a capable engineer writes in an afternoon when a framework is too slow: no validation beyond
JSON, no limits, no health, no metrics, one process. A text waits in a queue, the inference thread
takes all that wait (at most 32), tokenises and computes them together, and the event loop, which is
free meanwhile, sends the answers. `padded` computes them as one batch as wide as the longest;
`grouped` leaves to our own code which texts share a batch.
"""

import asyncio
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import uvicorn

from training.bundle import Classifier

_MOST = 32
_HEADERS = [(b"content-type", b"application/json")]

Waiting = tuple[str, "asyncio.Future[bytes]"]


class Batcher:
    """The queue and the thread that empties it."""

    def __init__(self, folder: Path, grouped: bool) -> None:
        self._grouped = grouped
        self._classifier = Classifier.load(folder, threads=len(os.sched_getaffinity(0)))
        self._queue: queue.SimpleQueue[Waiting] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._work, daemon=True).start()

    def classify(self, text: str) -> "asyncio.Future[bytes]":
        future = self._loop.create_future()
        self._queue.put((text, future))
        return future

    def _work(self) -> None:
        while True:
            batch = [self._queue.get()]
            while len(batch) < _MOST:
                try:
                    batch.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            found = self._compute([text for text, _ in batch])
            answers = [orjson.dumps({"label": label, "score": score}) for label, score in found]
            self._loop.call_soon_threadsafe(_answer, batch, answers)

    def _compute(self, texts: list[str]) -> list[tuple[str, float]]:
        if self._grouped:
            return [(one.label, one.confidence) for one in self._classifier.predict(texts)]
        rows = [one.ids for one in self._classifier.encode(texts)]
        powers = np.exp(self._classifier._engine.begin([rows])()[0].astype(np.float64))
        shares = powers / powers.sum(axis=1, keepdims=True)
        labels = self._classifier.manifest.labels
        return [(labels[int(row.argmax())], float(row.max())) for row in shares]


def _answer(batch: list[Waiting], answers: list[bytes]) -> None:
    for (_, future), answer in zip(batch, answers, strict=True):
        if not future.done():
            future.set_result(answer)


class App:
    """POST with {"text"}, whatever the path."""

    def __init__(self, folder: Path, grouped: bool) -> None:
        self._folder, self._grouped = folder, grouped
        self._batcher: Batcher | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            self._batcher = Batcher(self._folder, self._grouped)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        assert self._batcher
        answer = await self._batcher.classify(orjson.loads(body)["text"])
        length = (b"content-length", str(len(answer)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, length]})
        await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    uvicorn.run(
        App(Path(sys.argv[1]), sys.argv[3] == "grouped"),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )
