"""The fixture `mortal`: flows in a process that dies right after any effect it has on the world.

S3, SNS and MLflow are servers, the target is a room, and Prefect's engine is left out: it takes
seconds for each of so many deaths.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import pytest
from plugins.room import Room

_CHANGES = ("stage", "shift", "restore", "retire", "scale_out")
_READS = ("GET", "HEAD")


class Killed(BaseException):
    """The process ended: what it had asked for is done, what it would do or undo next is not."""


class NoUndo:
    """Stand in for ExitStack in a process that is killed: nobody calls the undo steps."""

    def __enter__(self) -> "NoUndo":
        return self

    def __exit__(self, *_: object) -> None: ...

    def push(self, _: object) -> None: ...

    def callback(self, *_: object) -> None: ...

    def pop_all(self) -> None: ...


@dataclass
class Process:
    """Holds releases under `name` and lives until right after its n-th effect, 0: as it likes."""

    name: str = "nobody"
    dies_after: int = 0
    effects: list[str] = field(default_factory=list)
    dead: bool = False

    def start(self, name: str, dies_after: int = 0) -> None:
        self.name, self.dies_after, self.effects, self.dead = name, dies_after, [], False

    def reach(self, what: str, changes: bool, call: Callable[[], Any]) -> Any:
        """Call something outside, which only the living can."""
        if self.dead:
            raise Killed
        answer = call()
        if changes:
            self.effects.append(what)
            self.dead = len(self.effects) == self.dies_after
        if self.dead:
            raise Killed
        return answer


@dataclass
class StrictRoom(Room):
    """Keeps only what is needed, as an endpoint does, and lets nobody reach what does not run."""

    process: Process = field(default_factory=Process)
    reached: set[str] = field(default_factory=set)  # by callers

    def __post_init__(self) -> None:
        for name in _CHANGES:
            setattr(self, name, self._through(name, getattr(self, name)))

    def _through(self, name: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(client: Any, place: Any, wanted: Any, *rest: Any) -> Any:
            told = change(client, place, wanted, *rest)
            callers = {self.public} | ({wanted.version} if self.share else set())
            assert "new" in self.probed or callers == self.reached, f"{name}: {callers} untried"
            self.reached = callers
            assert callers <= set(self.running), f"{name}: callers reach {callers}"
            return told

        return lambda *args: self.process.reach(f"target {name}", True, lambda: changed(*args))

    def retire(self, client: Any, place: Any, wanted: Any, op_id: str) -> str:
        self.running = {wanted.version: self.running[wanted.version]}
        return "the others"


class Clock:
    """Two looks a step, without the minutes between them."""

    skipped = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.skipped

    def time(self) -> float:
        return time.time() + self.skipped

    def sleep(self, seconds: float) -> None:
        self.skipped += 20 * seconds


@pytest.fixture
def mortal(engineless: None, monkeypatch: pytest.MonkeyPatch) -> Process:
    """The process that everything runs in from here on."""
    import requests
    from botocore.httpsession import URLLib3Session

    from tasks import decisions, monitoring, observation, watching
    from tasks.adapters import aws

    process = Process()
    to_aws, to_mlflow = URLLib3Session.send, requests.Session.send

    def send(real: Callable[..., Any], session: Any, request: Any, more: dict[str, Any]) -> Any:
        what = f"{request.method} {urlsplit(request.url).path}"
        changes = request.method not in _READS
        return process.reach(what, changes, lambda: real(session, request, **more))

    monkeypatch.setattr(URLLib3Session, "send", lambda *asked: send(to_aws, *asked, {}))
    monkeypatch.setattr(requests.Session, "send", lambda *asked, **m: send(to_mlflow, *asked, m))
    monkeypatch.setattr(aws, "client", cache(aws.client))  # to make them is half of the time
    monkeypatch.setattr(decisions, "holder", lambda: process.name)
    clock = Clock()
    monkeypatch.setattr(watching, "time", clock)
    monkeypatch.setattr(observation, "time", clock)
    monkeypatch.setattr(monitoring.dashboards, "ensure", lambda *_: "a dashboard")
    monkeypatch.setattr(observation, "_publish", lambda _: None)
    return process
