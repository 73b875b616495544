"""The fixture `mortal`: flows in a process that dies right after each effect it has on the world.

Dead is who does nothing more: at each effect the process stands still while others come, find what
it left and end it. Then the world is put back as it was, and the process goes on to its next
effect. So all its deaths take one run, not one each.

S3, SNS and MLflow are servers, and Prefect's engine is left out: it takes seconds for each run.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import pytest

_READS = ("GET", "HEAD")
_LOOKS = ("Describe", "Get", "Invoke", "List")


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
    """Holds releases under `name`; `dies` is called right after each of its effects."""

    name: str = "nobody"
    dies: Callable[[str], None] | None = None

    def reach(self, what: str, changes: bool, call: Callable[[], Any]) -> Any:
        """Call something outside."""
        answer = call()
        if changes and self.dies:
            self.dies(what)
        return answer

    @contextmanager
    def another(self, name: str, dies: Callable[[str], None] | None = None) -> Iterator[None]:
        """In this process, while the one before stands still."""
        before = self.name, self.dies
        self.name, self.dies = name, dies
        try:
            yield
        finally:
            self.name, self.dies = before


@dataclass
class Clock:
    """Two looks a step, without the minutes between them."""

    seconds: float = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def time(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += 20 * seconds

    def keep(self) -> Callable[[], None]:
        held = self.seconds
        return lambda: setattr(self, "seconds", held)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of all that waits in a release."""
    from tasks import observation, watching
    from tasks.adapters import waits

    made, watch = Clock(), watching.Watch
    for module in (watching, observation, waits):
        monkeypatch.setattr(module, "time", made)

    def begin(*told: Any) -> Any:
        return watch(*told, begun=made.seconds)

    monkeypatch.setattr(observation, "Watch", begin)
    return made


@pytest.fixture
def mortal(engineless: None, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Process:
    """The process that everything runs in from here on."""
    import requests
    from botocore.httpsession import URLLib3Session

    from tasks import decisions, monitoring, observation
    from tasks.adapters import aws, registry

    process = Process()
    to_aws, to_mlflow = URLLib3Session.send, requests.Session.send

    def ask_aws(session: Any, request: Any) -> Any:
        action = _action(request)
        changes = request.method not in _READS and not action.startswith(_LOOKS)
        what = f"{request.method} {urlsplit(request.url).path} {action}".strip()
        return process.reach(what, changes, lambda: to_aws(session, request))

    def ask_mlflow(session: Any, request: Any, **more: Any) -> Any:
        what = f"{request.method} {urlsplit(request.url).path}"
        changes = request.method not in _READS
        return process.reach(what, changes, lambda: to_mlflow(session, request, **more))

    monkeypatch.setattr(URLLib3Session, "send", ask_aws)
    monkeypatch.setattr(requests.Session, "send", ask_mlflow)
    for clients in (aws, registry):  # to make them is half of the time
        monkeypatch.setattr(clients, "client", cache(clients.client))
    monkeypatch.setattr(decisions, "holder", lambda: process.name)
    monkeypatch.setattr(monitoring.dashboards, "ensure", lambda *_: "a dashboard")
    monkeypatch.setattr(observation, "_publish", lambda _: None)
    return process


def _action(request: Any) -> str:
    """What is asked of a service whose requests all look alike; empty for S3."""
    if target := request.headers.get("X-Amz-Target"):
        told = target.decode() if isinstance(target, bytes) else str(target)
        return told.rsplit(".", 1)[-1]
    if request.url.endswith("/invocations"):
        return "InvokeEndpoint"
    if "/operation/" in request.url:
        return str(request.url).rsplit("/", 1)[-1]
    asked = request.body if isinstance(request.body, bytes) else b""
    return asked.split(b"&")[0].decode().removeprefix("Action=") if asked[:7] == b"Action=" else ""
