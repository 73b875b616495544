"""The goals of serving, judged on what one run measured."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bench.measures import Measured

LEVEL = 32
PEERS = {
    "fastapi-hf": 6.0,
    "litserve": 6.0,
    "infinity": 1.6,
    "asgi-padded": 1.15,
    "asgi-grouped": 1.15,
}
_CACHE_HITS, _OVERHEAD, _OF_ENGINE, _OVERLOAD, _LOSS = 8000.0, 1.3, 0.85, 0.90, 0.005
# The share of the machine's limit that the engine must reach, by what it computes in.
_OF_LIMIT = {"openvino-int8": ("int8", 0.35), "openvino-bf16": ("bf16", 0.60)}


@dataclass(slots=True)
class Run:
    """What one run found: servers by name and concurrency, turns of the engine, overload."""

    closed: dict[tuple[str, int], Measured] = field(default_factory=dict)
    hits: dict[int, Measured] = field(default_factory=dict)
    opened: dict[tuple[str, float], Measured] = field(default_factory=dict)
    engine: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    labelled: Measured = field(default_factory=Measured)
    overload: Measured = field(default_factory=Measured)
    beside_overload: Measured = field(default_factory=Measured)
    labels: dict[str, Callable[[str], str]] = field(default_factory=dict)

    def of_engine(self, what: str, key: str) -> float:
        """The mean over the turns: the servers' figures are means too."""
        turns = self.engine.get(what, [])
        return sum(turn[key] for turn in turns) / len(turns) if turns else math.nan


@dataclass(frozen=True, slots=True)
class Goal:
    name: str
    value: float
    bound: float
    at_most: bool = False

    @property
    def measured(self) -> bool:
        return not math.isnan(self.value)

    @property
    def reached(self) -> bool:
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    def __str__(self) -> str:
        verdict = "not measured" if not self.measured else "PASS" if self.reached else "under"
        value = f"{self.value:>10,.3g}" if self.value < 1000 else f"{self.value:>10,.0f}"
        sign = "<=" if self.at_most else ">="
        return f"{self.name:58}{value} {sign} {self.bound:<8,g} {verdict}"


def judged(run: Run, ours: str, engine: str, lost: float = math.nan) -> list[Goal]:
    """Every goal, those that could not be measured included."""
    mine = run.closed.get((ours, LEVEL), Measured())
    found = []
    for peer, bound in PEERS.items():
        other = best(run.closed, peer)
        found.append(Goal(f"requests/s beside {peer}, ratio", _over(mine.rps, other.rps), bound))
        ratio = _over(mine.ms(0.99), other.ms(0.99))
        found.append(Goal(f"p99 beside {peer}, ratio", ratio, 1.0, at_most=True))
    rate = run.of_engine("many", "rate")
    most = max((one.rps for (name, _), one in run.closed.items() if name == ours), default=math.nan)
    found.append(
        Goal(f"of the engine's rate, at concurrency {LEVEL}", _over(mine.rps, rate), _OF_ENGINE)
    )
    found.append(
        Goal("of the engine's rate, at the best concurrency", _over(most, rate), _OF_ENGINE)
    )
    kind, share = _OF_LIMIT.get(engine, ("fp32", 0.60))
    limit = _over(run.of_engine("many", "gops"), run.of_engine("limits", kind))
    found.append(Goal(f"the engine, of the machine's {kind} product", limit, share))
    hits = max((one.rps for one in run.hits.values()), default=math.nan)
    found.append(Goal("cache hits/s", hits, _CACHE_HITS))
    alone = _over(run.closed.get((ours, 1), Measured()).ms(0.5), run.of_engine("single", "p50_ms"))
    found.append(Goal("latency of a lone request, of the engine's", alone, _OVERHEAD, at_most=True))
    kept = _over(run.overload.goodput, run.beside_overload.rps)
    found.append(Goal("goodput at twice the peak, of the peak", kept, _OVERLOAD))
    found.append(Goal("accuracy lost to fp32", lost, _LOSS, at_most=True))
    return found


def best(closed: Mapping[tuple[str, int], Measured], peer: str) -> Measured:
    """The peer at the concurrency of the goals; of several engines the quickest."""
    found = [
        one
        for (name, level), one in closed.items()
        if level == LEVEL and (name == peer or name.startswith(f"{peer}-"))
    ]
    return max(found, key=lambda one: one.rps, default=Measured())


def _over(one: float, other: float) -> float:
    return one / other if other else math.nan
