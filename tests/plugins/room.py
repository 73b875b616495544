"""The fixtures `room` and `champion`: a target in memory, where the order of steps is what counts.

Targets that really serve have their own tests.
"""

import json
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

LABELS = ("World", "Sports", "Business", "Sci/Tech")


def well(percent: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Both sides answer a thousand requests without a fault."""
    return (1000, 0, 0), (1000, 0, 0)


def said(version: str, payload: dict[str, str]) -> str:
    """The body of a version's answer, by the contract that it was asked by."""
    if "data" in payload:
        body = {"main_category": list(LABELS[:3]), "probabilities": [0.5, 0.3, 0.2]}
    else:
        body = {
            "prediction": "World",
            "confidence": 0.5,
            "model_version": version,
            "processing_time": 0.1,
            "timestamp": "2026-01-15T10:30:00Z",
        }
    return json.dumps(body)


@dataclass
class Room:
    """Stand in for a target: remembers what runs, what callers reach and what was done.

    `public` has all callers but `share` percent of them, which a staged version has.
    `answered(percent)` gives the (new, old) numbers of (requests, errors, slow) of each look.
    """

    running: dict[str, Any] = field(default_factory=dict)
    public: str = ""
    before: str = ""
    share: int = 0
    done: list[tuple[Any, ...]] = field(default_factory=list)
    sick: bool = False
    unproved: bool = False
    down: set[str] = field(default_factory=set)
    spare: bool = False
    answered: Any = well
    probed: list[str] = field(default_factory=list)

    def prepare(self, client: Any, place: Any, wanted: Any, op_id: str) -> str:
        return "a room"

    def stage(self, client: Any, place: Any, wanted: Any, op_id: str) -> str:
        if wanted.version not in self.running:
            self.done.append(("start", wanted.version))
        self.running[wanted.version] = wanted
        return "running"

    def warm(self, client: Any, place: Any, wanted: Any, op_id: str) -> bool:
        return self.running.get(wanted.version) == wanted

    def session(self, client: Any, place: Any, wanted: Any, op_id: str, side: str) -> Any:
        from tasks.records import Answer

        def ask(payload: dict[str, str]) -> Any:
            self.probed.append(side)
            if self.sick and side == "new":
                return Answer(500, "model broke", wanted.version, wanted.bundle_digest)
            return self._answer(wanted if side == "new" else self.running[self.public], payload)

        return nullcontext(SimpleNamespace(ask=ask, usage=lambda: None))

    def shift(self, client: Any, place: Any, wanted: Any, op_id: str, percent: int) -> str:
        if percent < 100:
            self.done.append(("shift", wanted.version, percent))
        elif self.public != wanted.version:
            self.done.append(("switch", wanted.version))
            self.before, self.public = self.public, wanted.version
        self.share = percent
        return "switched"

    def traffic(
        self,
        client: Any,
        place: Any,
        wanted: Any,
        op_id: str,
        since: Any,
        until: Any,
        slow_s: float,
    ) -> tuple[Any, Any]:
        from tasks.records import Arm

        new, old = self.answered(self.share)
        latency = (10.0, 20.0, 30.0)
        other = self.before if self.public == wanted.version else self.public
        return (
            Arm(wanted.version, *new, *latency),
            Arm(other, *old, *latency) if other else None,
        )

    def healthy(self, client: Any, place: Any, wanted: Any, op_id: str, side: str) -> bool:
        return side not in self.down

    def scale_out(self, client: Any, place: Any, wanted: Any, op_id: str) -> str | None:
        if self.spare:
            self.done.append(("scale out", wanted.version))
        return "2 instances" if self.spare else None

    def prove(self, client: Any, place: Any, wanted: Any, payload: dict[str, str]) -> str:
        from tasks.errors import DeployFailed

        if self.unproved:
            raise DeployFailed("the old one answers")
        assert self.ask(client, place, payload).version == wanted.version
        return "proved"

    def ask(self, client: Any, place: Any, payload: dict[str, str]) -> Any:
        from tasks.records import Answer

        if not self.public:
            return Answer(0, "nobody", "", "")
        return self._answer(self.running[self.public], payload)

    def look(self, client: Any, place: Any, timeout_s: float) -> Any:
        from tasks.records import Answer

        return Answer(503 if self.sick else 200 if self.public else 0, "", self.public, "", 0.012)

    def restore(self, client: Any, place: Any, wanted: Any, op_id: str) -> str:
        from tasks.errors import OldSideDown

        self.done.append(("restore", wanted.version))
        if "old" in self.down and "new" not in self.down:
            self.share = 100
            raise OldSideDown("the old side is down")
        if self.public == wanted.version:
            self.public = self.before
        self.share = 0
        return "restored"

    def retire(self, client: Any, place: Any, wanted: Any, op_id: str) -> str:
        return "nothing"

    def address(self, client: Any, place: Any) -> str:
        return "http://room"

    @staticmethod
    def _answer(served: Any, payload: dict[str, str]) -> Any:
        from tasks.records import Answer

        return Answer(200, said(served.version, payload), served.version, served.bundle_digest)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    """In the place of the target `ec2`."""
    from tasks import monitoring, targets

    made = Room()
    monkeypatch.setitem(targets.TARGETS, "ec2", made)
    # Alarms are about the parts of a stack, and a room has none.
    monkeypatch.setattr(monitoring.dashboards, "ensure", lambda *_: "a dashboard")
    return made


@pytest.fixture
def champion(shelf: Any, room: Room) -> str:
    """Released as the flow would leave it, without the seconds that a flow run takes."""
    served = shelf.release(shelf.version(seed=1), "ec2")
    room.running[served.version], room.public = served, served.version
    return str(served.version)
