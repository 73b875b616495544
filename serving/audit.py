"""The audit log: who asked, when, which version answered, and how it ended. Never the text itself.

Its loss never fails or delays a request, it is counted and told. A killed process loses what it
took in its last moments.
"""

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from serving import logs
from serving.errors import CannotStart
from serving.logs import Sink

if TYPE_CHECKING:
    from serving.settings import ServingSettings

logger = logging.getLogger(__name__)

_FIXED = {"level": "INFO", "logger": "audit", "message": "audit"}


class AuditFile:
    """A file of audit lines, opened for each write: it may be rotated, and full for a while."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failing = False
        try:
            os.close(self._opened())
        except OSError as error:
            raise CannotStart(f"AUDIT_FILE={path} cannot be written: {error.strerror}") from None

    def write(self, lines: memoryview) -> int:
        try:
            written = self._append(lines)
        except OSError as error:
            if not self._failing:
                logger.error(f"audit lines are lost: {self._path}: {error.strerror}")
            self._failing = True
            raise
        self._failing = False
        return written

    def _append(self, lines: memoryview) -> int:
        file = self._opened()
        try:
            return os.write(file, lines)
        finally:
            os.close(file)

    def _opened(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


class Audit:
    """One line for each request of a caller, and for each that was turned away."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, fields: Mapping[str, object]) -> None:
        self._sink.put((time.time(), {**_FIXED, **fields}))

    @property
    def lost(self) -> int:
        return self._sink.lost

    def close(self) -> None:
        """Write what waits, for at most a second."""
        if self._sink is not logs.sink():
            self._sink.close()


def audit_of(settings: "ServingSettings") -> Audit | None:
    """The audit log that the settings ask for; without keys and without a file there is none."""
    if settings.audit_file:
        return Audit(Sink(AuditFile(settings.audit_file).write))
    if settings.auth == "off":
        return None
    own = logs.sink()
    return Audit(own) if own else None
