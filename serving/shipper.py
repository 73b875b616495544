"""`python -m serving.shipper PARENT FOLDER URI LEVEL`: takes the spool's files to S3, as Parquet.

A process of its own beside the server, which it follows. What is shipped twice is there once: an
object is named by the hash of its lines, and one that is there is never written again.
"""

import fcntl
import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from serving import logs, processes
from serving.spool import CLOSED, OPEN

if TYPE_CHECKING:
    from serving.segments import Objects

logger = logging.getLogger(__name__)

_STATE = "shipper.json"
_LOOK_S = 1.0
_MOST_WAIT_S = 30.0
_NICE = 10


class Shipper:
    """Ships one folder. After an error it waits, longer each time, and begins again."""

    def __init__(self, folder: Path, uri: str) -> None:
        self._folder, self._uri = folder, uri
        self._objects: Objects | None = None
        self._synced: dict[str, int] = {}
        self._failures = 0
        self._next = 0.0
        self._told = totals(folder)

    def run(self, ending: threading.Event) -> None:
        """Until the event is set; then what is complete is shipped once more."""
        # Apart, for it must not wait while S3 lets us wait.
        threading.Thread(target=self._secure_all, args=(ending,), daemon=True).start()
        while not ending.wait(_LOOK_S):
            self.look()
        self.secure()
        self.ship()

    def _secure_all(self, ending: threading.Event) -> None:
        while not ending.wait(_LOOK_S):
            self.secure()

    def secure(self) -> None:
        """Bring what was written onto the disk; complete the files that a dead server left."""
        sizes: dict[str, int] = {}
        for path in sorted(self._folder.glob(f"[0-9]*{OPEN}")):
            try:
                sizes[path.name] = self._secure(path)
            except FileNotFoundError:
                continue  # it was completed just now
            except OSError as error:
                logger.warning(f"{path.name} is not secured: {error.strerror}")
        self._synced = sizes

    def _secure(self, path: Path) -> int:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(file).st_size
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.rename(path.with_suffix(CLOSED))
            except BlockingIOError:
                if self._synced.get(path.name) != size:
                    os.fdatasync(file)
            return size
        finally:
            os.close(file)

    def look(self) -> None:
        """Ship, unless S3 has just failed."""
        if time.monotonic() >= self._next:
            self.ship()

    def ship(self) -> None:
        """Ship every complete file, the oldest first, until S3 takes no more."""
        for file in sorted(self._folder.glob(f"[0-9]*{CLOSED}")):
            try:
                self._ship(file)
            except FileNotFoundError:
                continue  # another server's shipper was quicker
            except OSError as error:
                self._fail(f"{file.name}: {error.strerror or error}")
                break
        else:
            self._failures, self._next = 0, 0.0

    def _ship(self, file: Path) -> None:
        if self._objects is None:
            from serving.segments import Objects  # half a second and 100 MB, when there is need

            self._objects = Objects(self._uri)
        shipped = self._objects.ship(file)
        file.unlink(missing_ok=True)
        self._tell(shipped_records=shipped.rows, shipped_files=1, torn_lines=shipped.torn)

    def _fail(self, why: str) -> None:
        self._failures += 1
        wait_s = min(_MOST_WAIT_S, 2.0 ** (self._failures - 1))
        self._next = time.monotonic() + wait_s
        logger.warning(f"logged answers are not shipped, again in {wait_s:g} s: {why}")
        self._tell(ship_errors=1)

    def _tell(self, **more: int) -> None:
        """Add to the totals."""
        for name, count in more.items():
            self._told[name] = self._told.get(name, 0) + count
        new = self._folder / f".{_STATE}.{os.getpid()}"
        with suppress(OSError):  # a full disk; shipping makes room
            new.write_bytes(orjson.dumps(self._told))
            new.rename(self._folder / _STATE)


def totals(folder: Path) -> dict[str, int]:
    """What the folder's shippers have done, in all their lives; the server's metrics read it."""
    try:
        return dict(orjson.loads((folder / _STATE).read_bytes()))
    except (OSError, ValueError):
        return {}


def ship(folder: Path, uri: str) -> None:
    """Ship, beside whichever servers write there, until SIGTERM or SIGINT."""
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    Shipper(folder, uri).run(ending)


def main() -> None:
    """Ship for the server that started this process, until it closes our standard input."""
    parent, folder, uri, level = sys.argv[1:]
    processes.follow_parent(int(parent))
    os.nice(_NICE)
    logs.configure(level)
    ending = threading.Event()
    threading.Thread(target=_until_closed, args=(ending,), daemon=True).start()
    Shipper(Path(folder), uri).run(ending)


def _until_closed(ending: threading.Event) -> None:
    sys.stdin.read()
    ending.set()


if __name__ == "__main__":
    main()
