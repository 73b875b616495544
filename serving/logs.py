"""One JSON object per log line on standard output, written by a thread so that nobody waits."""

import atexit
import json
import logging
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache

import orjson

_ROOM = 20_000  # lines that may wait while standard output does not move
_GATHER_S = 0.05


class JsonFormatter(logging.Formatter):
    """Writes the fields of `extra={"fields": {...}}` beside time, level, logger and message."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "timestamp": _stamp(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0]:
            # The exception's own message is left out: it may quote a user's text.
            line["exception"] = record.exc_info[0].__name__
            line["stack"] = "".join(traceback.format_tb(record.exc_info[2]))
        return json.dumps(line)


class Sink:
    """Lines on their way out; an output that is slow, full or gone costs lines, never a request."""

    def __init__(self, write: Callable[[memoryview], int]) -> None:
        self.lost = 0
        self._told = 0
        self._torn = False
        self._write = write
        self._waiting: deque[bytes | tuple[float, Mapping[str, object]]] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, line: bytes | tuple[float, Mapping[str, object]]) -> None:
        """Take a line, ready or as (when, fields); never waits."""
        if len(self._waiting) >= _ROOM:
            self.lost += 1
            return
        self._waiting.append(line)
        if not self._wake.is_set():
            self._wake.set()

    def close(self, seconds: float = 1) -> None:
        """Write what waits, for at most so long."""
        self._closing = True
        self._wake.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._closing or self._waiting:
            self._wake.wait()
            if not self._closing:
                time.sleep(_GATHER_S)  # one write for all that comes meanwhile
            self._wake.clear()
            while self._waiting:
                self._out([self._waiting.popleft() for _ in range(min(len(self._waiting), 500))])

    def _out(self, lines: list[bytes | tuple[float, Mapping[str, object]]]) -> None:
        if (lost := self.lost) > self._told:
            notice = {"level": "WARNING", "message": "log lines were lost", "lines": lost}
            if self._unwritten(_rendered((time.time(), notice))):
                self.lost += len(lines)
                return
            self._told = lost
        unwritten = self._unwritten(b"".join(map(_rendered, lines)))
        self.lost += unwritten  # in two steps: `put` counts, too, while the output does not move

    def _unwritten(self, text: bytes) -> int:
        """How many of these lines did not get out whole."""
        rest = memoryview(b"\n" + text if self._torn else text)
        try:
            while rest:
                done = self._write(rest)
                self._torn = rest[done - 1] != ord("\n") if done else self._torn
                rest = rest[done:]
        except (OSError, ValueError):  # a full disk, a reader that is gone, a closed stream
            return bytes(rest).count(b"\n") - (len(rest) > len(text))
        return 0


class _Handler(logging.Handler):
    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self.sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        self.sink.put(self.format(record).encode() + b"\n")


def configure(level: str) -> Sink:
    """Send every logger of this process to standard output as JSON."""
    handler = _Handler(Sink(_standard_output()))
    atexit.register(handler.sink.close)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ("litserve", "uvicorn", "uvicorn.error", "uvicorn.access"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.NOTSET if level == "DEBUG" else logging.WARNING)
    return handler.sink


def sink() -> Sink | None:
    """Where this process's lines go, when `configure` has said so."""
    return next((h.sink for h in logging.getLogger().handlers if isinstance(h, _Handler)), None)


def _standard_output() -> Callable[[memoryview], int]:
    """Writes to what is standard output now: a later owner of its number must not get log lines."""
    own: int | None = None
    with suppress(OSError, ValueError, AttributeError):  # it may be closed, or a test's own stream
        own = os.dup(sys.stdout.fileno())

    def write(text: memoryview) -> int:
        if own is None:
            raise OSError("standard output is closed")
        try:
            return os.write(own, text)
        except BlockingIOError:  # another owner of the same pipe has made it non-blocking
            time.sleep(_GATHER_S)
            return 0

    return write


def _rendered(line: bytes | tuple[float, Mapping[str, object]]) -> bytes:
    if isinstance(line, bytes):
        return line
    when, fields = line
    with suppress(TypeError):
        text = orjson.dumps(fields)
        # orjson leaves C1 controls and line separators as they are; a terminal would obey them.
        if text.isascii():
            return b'{"timestamp":"%b",%b\n' % (_stamp(when).encode(), text[1:])
    return json.dumps({"timestamp": _stamp(when), **fields}, default=str).encode() + b"\n"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]


def _stamp(when: float) -> str:
    return f"{_second(int(when))}.{int(when % 1 * 1000):03d}+00:00"
