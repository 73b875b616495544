"""Tables of AWS calls, each tried under every fault that AWS may answer with (bar 26)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

PASSING = ("throttle", "error-500", "commit-then-500", "reset")
STAYING = ("expired-credentials", "access-denied")
_MOST_CALLS = 6
_NUMBERS = count(1)

# The call of an adapter, and how often its effect is there afterwards; None when it only reads.
Prepared = tuple[Callable[[], Any], Callable[[], int] | None]


@dataclass(frozen=True, slots=True)
class Row:
    """What is called, and which action of AWS goes wrong meanwhile."""

    service: str
    action: str
    prepare: Callable[[str], Prepared]

    def __str__(self) -> str:
        return f"{self.prepare.__name__}-{self.action}"


class Rows(list[Row]):
    """`@rows("s3", "PutObject")` above a function that prepares a call for a fresh name."""

    def __call__(self, service: str, *actions: str) -> Callable[[Any], Any]:
        def keep(prepare: Callable[[str], Prepared]) -> Callable[[str], Prepared]:
            self.extend(Row(service, action, prepare) for action in actions)
            return prepare

        return keep


class Trial:
    """One row under one fault."""

    def __init__(self, sandbox: Any) -> None:
        self.sandbox = sandbox

    def passes(self, row: Row, kind: str) -> None:
        """The step succeeds, with few calls, and what it makes is there once."""
        call, made = self._begin(row)
        times = 1 if kind == "commit-then-500" else 2
        self.sandbox.fault(service=row.service, action=row.action, kind=kind, times=times)

        as_a_step(call)

        assert self.sandbox.faults() == []
        assert self._calls(row) <= _MOST_CALLS
        assert made is None or made() == 1

    def stays(self, row: Row, kind: str) -> None:
        """The step ends at once with AWS's own error, and nothing was made."""
        from botocore.exceptions import ClientError

        from tasks.retries import may_pass

        call, made = self._begin(row)
        self.sandbox.fault(service=row.service, action=row.action, kind=kind, times=100)

        with pytest.raises(ClientError, match=r"[Ee]xpired|not authorized") as stayed:
            as_a_step(call)

        assert not may_pass(stayed.value)
        assert self._calls(row) <= 2
        self.sandbox.clear_faults()
        assert made is None or made() == 0

    def hangs(self, row: Row) -> None:
        """The call is given up when it says nothing, and made again."""
        with _impatient():
            call, made = self._begin(row)
            self.sandbox.fault(service=row.service, action=row.action, kind="hang", seconds=5)

            as_a_step(call)

        assert self.sandbox.faults() == []
        assert self._calls(row) <= _MOST_CALLS
        assert made is None or made() == 1

    def _begin(self, row: Row) -> Prepared:
        prepared = row.prepare(f"{row.action[:11]}{next(_NUMBERS)}")
        self.sandbox.clear_calls()
        return prepared

    def _calls(self, row: Row) -> int:
        return [call["action"] for call in self.sandbox.calls()].count(row.action)


def as_a_step(call: Callable[[], Any]) -> Any:
    """Call as a `live` step is called: three times more after what may pass, here at once."""
    from tasks.retries import may_pass

    for _ in range(3):
        try:
            return call()
        except Exception as error:
            if not may_pass(error):
                raise
    return call()


@contextmanager
def _impatient() -> Iterator[None]:
    """Clients that give a call up soon: where none hangs, a busy machine may take longer."""
    from functools import cache

    from botocore.config import Config

    from tasks.adapters import aws

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aws, "_CONFIG", aws._CONFIG.merge(Config(read_timeout=3)))
        patch.setattr(aws, "client", cache(aws.client.__wrapped__))
        yield


@pytest.fixture(scope="module")
def quick_aws(sandbox: Any) -> Iterator[None]:
    """Clients as the flows have them, but without botocore's random pauses of seconds."""
    from functools import cache

    from botocore.retries.standard import ExponentialBackoff

    from tasks.adapters import aws

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.05)
        patch.setattr(aws, "client", cache(aws.client))
        yield


@pytest.fixture
def trial(sandbox: Any, quick_aws: None) -> Iterator[Trial]:
    """`trial.passes(row, kind)`, `trial.stays(row, kind)`, `trial.hangs(row)`."""
    sandbox.clear_faults()
    yield Trial(sandbox)
    sandbox.clear_faults()
