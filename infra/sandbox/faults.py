"""Faults on demand and the record of calls."""

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterable
from typing import Any

from infra.sandbox.calls import Call, Environ, Start, Wsgi, answer_error, buffered, recognise

CALL_KINDS = (
    *("throttle", "error-500", "hang", "commit-then-500"),
    *("expired-credentials", "access-denied", "reset"),
)
DATA_KINDS = (
    *("job-failure", "spot-interruption", "silent-rollback"),
    *("slow-variant", "capacity-error", "failing-version"),
)
# Whose calls are kept with what they ask for: JSON without secrets.
_REMEMBERED = ("sagemaker",)


class UnknownFault(Exception):
    """A fault spec that could never match anything."""


class Faults:
    """What shall go wrong next, and what was called."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._specs: list[dict[str, Any]] = []
        self.calls: deque[dict[str, Any]] = deque(maxlen=20_000)

    def add(self, spec: dict[str, Any]) -> None:
        kind = spec.get("kind")
        if kind not in CALL_KINDS + DATA_KINDS:
            allowed = ", ".join(CALL_KINDS + DATA_KINDS)
            raise UnknownFault(f"kind {kind!r} is none of {allowed}")
        if kind in CALL_KINDS and not {"service", "action"} <= spec.keys():
            raise UnknownFault(f"{kind} needs service and action ('*' for any action)")
        with self._lock:
            self._specs.append({"times": 1, "after": 0, **spec})

    def list(self) -> "list[dict[str, Any]]":
        with self._lock:
            return [dict(spec) for spec in self._specs]

    def clear(self) -> None:
        with self._lock:
            self._specs.clear()

    def take(self, kind: str, name: str = "") -> dict[str, Any] | None:
        """Use up one data-plane fault of this kind; a spec with a `name` waits for that name."""
        with self._lock:
            for spec in self._specs:
                if spec["kind"] == kind and spec.get("name", name) == name:
                    return self._use(spec)
        return None

    def match(self, call: Call) -> dict[str, Any] | None:
        """Use up the first fault that this call runs into."""
        with self._lock:
            for spec in self._specs:
                if spec["kind"] not in CALL_KINDS or spec["service"] != call.service:
                    continue
                if spec["action"] in ("*", call.action) and (used := self._use(spec)):
                    return used
        return None

    def _use(self, spec: dict[str, Any]) -> dict[str, Any] | None:
        if spec["after"] > 0:
            spec["after"] -= 1
            return None
        spec["times"] -= 1
        if spec["times"] <= 0:
            self._specs.remove(spec)
        return spec


class Gate:
    """WSGI: record every call, and let the chosen ones go wrong.

    A record has service, action, path, status (0: no answer yet), fault or None, and of some calls
    what was `asked`. S3's path is `/bucket/key`: no bucket is in the host's name, that is an IP
    address.
    """

    def __init__(self, aws: Wsgi, faults: Faults, stopping: threading.Event) -> None:
        self.aws = aws
        self.faults = faults
        self.stopping = stopping

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        call = recognise(environ)
        environ["sandbox.call"] = call
        fault = self.faults.match(call)
        record = {"service": call.service, "action": call.action, "path": environ["PATH_INFO"]}
        record |= {"status": 0, "fault": fault["kind"] if fault else None}
        if call.service in _REMEMBERED and call.changes_state:
            record["asked"] = json.loads(buffered(environ) or b"{}")
        self.faults.calls.append(record)

        def remember(status: str, headers: Any, *rest: Any) -> Any:
            record["status"] = int(status.split()[0])
            return start(status, headers, *rest)

        if not fault:
            return self.aws(environ, remember)
        return self._go_wrong(fault, call, environ, remember)

    def _go_wrong(
        self, fault: dict[str, Any], call: Call, environ: Environ, start: Start
    ) -> Iterable[bytes]:
        kind = fault["kind"]
        if kind == "hang":
            self.stopping.wait(fault.get("seconds", 60))
        if kind in ("hang", "reset"):
            _break_connection(environ)
            start("503 Service Unavailable", [])
            return []
        if kind == "commit-then-500":
            for _ in self.aws(environ, lambda *_: None):
                pass
        else:
            _swallow_body(environ)
        return answer_error(kind, call, start)


def _swallow_body(environ: Environ) -> None:
    """An answer before the body was read would break the connection under the client."""
    left = int(environ.get("CONTENT_LENGTH") or 0)
    while left > 0 and (chunk := environ["wsgi.input"].read(min(left, 1 << 20))):
        left -= len(chunk)


def _break_connection(environ: Environ) -> None:
    """The client sees `connection reset by peer` and no answer."""
    connection = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RDWR)
