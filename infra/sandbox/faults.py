"""Faults on demand and the record of calls."""

import threading
from collections import deque
from typing import Any


class Faults:
    """What shall go wrong next, and what was called."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._specs: list[dict[str, Any]] = []
        self.calls: deque[dict[str, Any]] = deque(maxlen=20_000)

    def add(self, spec: dict[str, Any]) -> None:
        with self._lock:
            self._specs.append({"times": 1, "after": 0, **spec})

    def list(self) -> list[dict[str, Any]]:
        with self._lock:
            return [dict(spec) for spec in self._specs]

    def clear(self) -> None:
        with self._lock:
            self._specs.clear()

    def take(self, kind: str) -> dict[str, Any] | None:
        """Use up one data-plane fault of this kind, None when there is none."""
        with self._lock:
            for spec in self._specs:
                if spec["kind"] == kind:
                    return self._use(spec)
        return None

    def _use(self, spec: dict[str, Any]) -> dict[str, Any] | None:
        if spec["after"] > 0:
            spec["after"] -= 1
            return None
        spec["times"] -= 1
        if spec["times"] <= 0:
            self._specs.remove(spec)
        return spec
