"""Lines on their way to S3, in files on this disk: what was taken outlives this process.

A file is written as `{milliseconds}-{writer}-{number}.{kind}.open`, locked by its writer, and
renamed to `.jsonl` when it is complete. Whoever finds an open file without a lock has found what a
dead writer left. serving.shipper takes the files away.
"""

import errno
import fcntl
import logging
import os
import time
from collections import Counter
from pathlib import Path
from secrets import token_hex

from training.capture import KINDS, Kind

logger = logging.getLogger(__name__)

OPEN, CLOSED = ".open", ".jsonl"
_MOST_SEGMENT = 8 * 2**20
_SEGMENTS = 8  # of this many parts at least is what may lie here, so that room comes back in parts


class Spool:
    """Takes lines until so many bytes lie here; used by one thread. Nothing that fails here raises.

    A line is written by the kernel when `append` returns: only the machine's own death loses it.
    """

    def __init__(self, folder: Path, max_bytes: int, seconds: float) -> None:
        """`seconds`: no file is written to for longer."""
        self.folder = folder
        self.logged: Counter[Kind] = Counter()
        self.dropped: Counter[Kind] = Counter()
        self._max_bytes, self._seconds = max_bytes, seconds
        self._segment_bytes = min(_MOST_SEGMENT, max(1, max_bytes // _SEGMENTS))
        self._writer = token_hex(4)
        self._numbers = 0
        self._open: dict[Kind, _Segment] = {}
        self._waiting: dict[str, int] = {}  # bytes of each file that nobody here writes to
        self._waiting_bytes = 0
        self._failing = ""
        self.look()

    @property
    def size(self) -> int:
        return self._waiting_bytes + sum(one.size for one in self._open.values())

    @property
    def files(self) -> int:
        return len(self._waiting) + len(self._open)

    @property
    def oldest_s(self) -> float:
        """Age of the first line that is not in S3 yet, as far as file names tell it."""
        names = [*self._waiting, *(one.path.name for one in self._open.values())]
        began = [int(name.partition("-")[0]) for name in names]
        return max(0.0, time.time() - min(began) / 1000) if began else 0.0

    def append(self, kind: Kind, lines: list[bytes]) -> bool:
        """Write the lines, each without its end, or drop and count all of them: False then."""
        block = b"\n".join([*lines, b""])
        try:
            if self.size + len(block) > self._max_bytes:
                raise OSError(f"{self._max_bytes} bytes wait to be shipped")
            segment = self._open.get(kind) or self._begin(kind)
            segment.write(block)
            if segment.size >= self._segment_bytes:
                self._end(kind)
        except OSError as error:
            self._tell(error.strerror or str(error))
            self.dropped[kind] += len(lines)
            return False
        if self._failing:
            self._tell("")
        self.logged[kind] += len(lines)
        return True

    def look(self) -> None:
        """Complete what is old enough, and see what was taken away; once a second is enough."""
        for kind, segment in list(self._open.items()):
            if segment.age_s() >= self._seconds:
                self._end(kind)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.scandir(self.folder) as entries:
                names = {one.name for one in entries if _is_ours(one.name)}
            names -= {one.path.name for one in self._open.values()}
            for gone in self._waiting.keys() - names:
                del self._waiting[gone]
            for name in names:
                # Another server's open file grows.
                if name not in self._waiting or name.endswith(OPEN):
                    self._waiting[name] = _size(self.folder / name)
        except OSError as error:
            self._tell(error.strerror or str(error))
        self._waiting_bytes = sum(self._waiting.values())

    def close(self) -> None:
        """Complete every file; a later line would begin another one."""
        for kind in KINDS:
            self._end(kind)

    def _begin(self, kind: Kind) -> "_Segment":
        self._numbers += 1
        name = f"{time.time_ns() // 10**6}-{self._writer}-{self._numbers}.{kind}"
        segment = self._open[kind] = _Segment(self.folder / name)
        return segment

    def _end(self, kind: Kind) -> None:
        if (segment := self._open.pop(kind, None)) and (path := segment.close()):
            self._waiting[path.name] = segment.size
            self._waiting_bytes += segment.size

    def _tell(self, why: str) -> None:
        """Log when lines begin to be lost, and when that ends: not each of them."""
        if why != self._failing:
            if why:
                logger.error(f"answers are not logged: {self.folder}: {why}")
            else:
                logger.info(f"answers are logged again in {self.folder}")
        self._failing = why


class _Segment:
    """One file that is written to; it always ends with a whole line, or is given up."""

    def __init__(self, stem: Path) -> None:
        self.path = stem.with_name(f"{stem.name}{OPEN}")
        self.size = 0
        self._torn = False
        self._began = time.monotonic()
        # Under another name until it is locked: nobody may take it for one that was left.
        new = stem.with_name(f".{stem.name}")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.open(new, flags, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            new.rename(self.path)
        except OSError:
            os.close(self._file)
            raise

    def age_s(self) -> float:
        return time.monotonic() - self._began

    def write(self, block: bytes) -> None:
        """Write all of it or nothing, which is an OSError."""
        if self._torn:
            os.ftruncate(self._file, self.size)
        self._torn = True  # until the whole block is there
        if os.write(self._file, block) < len(block):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._torn = False
        self.size += len(block)

    def close(self) -> Path | None:
        """Complete the file and return it under its last name; an empty one goes."""
        complete = self.path.with_suffix(CLOSED)
        try:
            if self._torn:
                os.ftruncate(self._file, self.size)
            if self.size:
                self.path.rename(complete)
            else:
                self.path.unlink()
        except OSError:
            complete = self.path  # whoever finds it unlocked completes it
        os.close(self._file)
        return complete if self.size else None


def _is_ours(name: str) -> bool:
    return name[0].isdecimal() and name.endswith((OPEN, CLOSED))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
