"""What was measured: phases of one server at one load, put together from several turns."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from bench.generator import Outcome, Phase
from bench.servers import Server

# An answer that comes later than this is no use to the caller of the overload phase.
DEADLINE_S = 1.0


class Broken(Exception):
    """The load generator could not do its phase; the message says why."""


@dataclass(slots=True)
class Measured:
    """All outcomes of one server at one load."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def rps(self) -> float:
        return self._per_second(sum(one.done_in_window for one in self.outcomes))

    @property
    def goodput(self) -> float:
        """Answers per second that came before the deadline."""
        in_time = sum(us <= DEADLINE_S * 1e6 for one in self.outcomes for us in one.latencies)
        return self._per_second(in_time)

    def ms(self, share: float) -> float:
        """The latency that this share of the answers kept under."""
        found = sorted(us for one in self.outcomes for us in one.latencies)
        return found[min(int(share * len(found)), len(found) - 1)] / 1e3 if found else float("nan")

    @property
    def statuses(self) -> Counter[str]:
        return sum((Counter(one.statuses) for one in self.outcomes), Counter[str]())

    @property
    def errors(self) -> int:
        return sum(count for status, count in self.statuses.items() if status != "200")

    @property
    def server_cores(self) -> float:
        return self._per_second(sum(one.server_cpu_s for one in self.outcomes))

    @property
    def load_cores(self) -> float:
        return self._per_second(sum(one.own_cpu_s for one in self.outcomes))

    def _per_second(self, total: float) -> float:
        return total / (sum(one.seconds for one in self.outcomes) or float("nan"))


def drive(
    server: Server,
    texts: list[str],
    seconds: float,
    *,
    connections: int = 0,
    rate: float = 0.0,
    once: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Outcome:
    """One phase by a process of its own."""
    phase = Phase(
        port=server.port,
        path=server.kind.path,
        bodies=[server.kind.body(text) for text in texts],
        pid=server.pid,
        seconds=seconds,
        connections=connections,
        rate=rate,
        once=once,
        headers=dict(headers or {}),
    )
    done = subprocess.run(
        [sys.executable, "-m", "bench.generator"],
        input=json.dumps(asdict(phase)),
        capture_output=True,
        text=True,
        timeout=4 * seconds + phase.drain_s + 60,  # a window may be put off
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise Broken(f"load on {server.name}: {said[-1]}")
    return Outcome(**json.loads(done.stdout))
