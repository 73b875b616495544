"""A target in memory that lets nobody reach what does not run, at any of the process's effects."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, fields
from typing import Any

from plugins.rewinding import PutBack
from plugins.room import Room
from plugins.sudden_death import Process

_CHANGES = ("stage", "shift", "restore", "retire", "scale_out")


@dataclass
class StrictRoom(Room):
    """Keeps only what is needed, as an endpoint does, and lets nobody reach what does not run."""

    process: Process = field(default_factory=Process)
    target: str = "ec2"
    reached: set[str] = field(default_factory=set)  # by callers

    def __post_init__(self) -> None:
        for name in _CHANGES:
            setattr(self, name, self._through(name, getattr(self, name)))

    def _through(self, name: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(client: Any, place: Any, wanted: Any, *rest: Any) -> Any:
            told = change(client, place, wanted, *rest)
            callers = {self.public} - {""} | ({wanted.version} if self.share else set())
            assert "new" in self.probed or callers == self.reached, f"{name}: {callers} untried"
            self.reached = callers
            assert callers <= set(self.running), f"{name}: callers reach {callers}"
            return told

        return lambda *args: self.process.reach(f"target {name}", True, lambda: changed(*args))

    def retire(self, client: Any, place: Any, wanted: Any, op_id: str) -> str:
        self.running = {wanted.version: self.running[wanted.version]}
        return "the others"

    @property
    def adapter(self) -> "StrictRoom":
        return self

    def serve(self, served: Any) -> None:
        """All callers have it, and nothing else runs."""
        self.running, self.public = {served.version: served}, served.version
        self.reached = {served.version}

    def keep(self) -> PutBack:
        names = {one.name for one in fields(self)} - {"process"}
        held = {name: copy(getattr(self, name)) for name in names}
        return lambda: vars(self).update(held)
