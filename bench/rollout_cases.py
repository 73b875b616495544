"""The rollouts that `bench.rollouts` simulates: versions that are equal, and worse ones."""

from dataclasses import dataclass, field

from bench.rollout_answers import Talk
from tasks.policy.canary import Limits


@dataclass(frozen=True, slots=True)
class Watch:
    """One step: the new version's part of the requests, and the looks at it."""

    part: float
    looks: int
    requests: int  # of both versions from one look to the next


@dataclass(frozen=True, slots=True)
class Case:
    """True shares of bad answers of the new and the old version, and the steps."""

    name: str
    shares: tuple[float, float]
    steps: tuple[Watch, ...]
    limit: float
    other: tuple[float, float] = (0.005, 0.005)  # the measure that the case is not about
    other_limit: float = 0.01
    limits: Limits = field(default=Limits())


@dataclass(frozen=True, slots=True)
class Probes:
    """Shares of the texts that the old version alone has right, and the new one alone."""

    name: str
    lost: float
    won: float
    texts: int


@dataclass(frozen=True, slots=True)
class Heard:
    """What callers hear, of versions that fail equally often."""

    name: str
    talk: Talk
    steps: tuple[Watch, ...]
    share: float = 0.005  # of errors, and of slow answers, on both sides


def plan(requests: int) -> tuple[Watch, ...]:
    """The default plan, looked at every half minute, at so many requests per half minute."""
    return Watch(0.1, 60, requests), Watch(0.5, 120, requests)


def side_by_side(each: int, looks: int = 50) -> tuple[Watch, ...]:
    return (Watch(0.5, looks, 2 * each // looks),)


EQUAL = (
    Case("2 % both, busy", (0.02, 0.02), plan(800), 0.05),
    Case("2 % both, 20 requests a look", (0.02, 0.02), plan(20), 0.05),
    Case("2 % both, both over the limit", (0.02, 0.02), plan(800), 0.01),
    Case("2 % both, 1:1", (0.02, 0.02), side_by_side(5000), 0.05),
    Case("2 % both, a look per request", (0.02, 0.02), (Watch(0.1, 2000, 1),), 0.05),
    Case("0.1 % both, busy", (0.001, 0.001), plan(800), 0.01),
    Case("0.1 % both, 100 requests a look", (0.001, 0.001), plan(100), 0.01),
    Case("0.1 % both, 1:1", (0.001, 0.001), side_by_side(5000), 0.01),
    Case("0.1 % both, a look per request", (0.001, 0.001), (Watch(0.1, 2000, 1),), 0.01),
    Case("0.9 % both, close to the limit", (0.009, 0.009), plan(800), 0.01),
    Case("20 % both", (0.2, 0.2), plan(100), 0.5),
)
# Latencies are lognormal: p99 of 400 ms is 0.35 % over 500 ms, of 800 ms it is 6.2 %.
WORSE = (
    Case("2 % to 4 % in 5,000, 1:1", (0.04, 0.02), side_by_side(5000), 0.05),
    Case("2 % to 4 % in 5,000, 1:9", (0.04, 0.02), (Watch(0.1, 50, 1000),), 0.05),
    Case("2 % to 10 % in 500, 1:1", (0.1, 0.02), side_by_side(500), 0.05),
    Case("2 % to 10 % in 500, 1:9", (0.1, 0.02), (Watch(0.1, 50, 100),), 0.05),
    Case("slow 1 % to 2 % in 10,000", (0.02, 0.01), side_by_side(10_000), 0.05),
    Case("p99 400 to 800 ms in 500", (0.062, 0.0035), side_by_side(500), 0.01),
)
EVEN = Probes("equal answers, 10 % disagree", 0.05, 0.05, 4000)
# As far apart as is allowed, and language that changes while it is watched.
SAME = (
    Heard("answers equal, busy", Talk(), plan(800)),
    Heard("answers equal, 20 requests a look", Talk(), plan(20)),
    Heard("answers equal, 2 labels, one rare", Talk((0.98, 0.02), (0.98, 0.02)), plan(100)),
    Heard("answers equal, language moves", Talk(later=(0.85, 0.05, 0.05, 0.05)), plan(100)),
    Heard("a label +10 points, busy", Talk((0.35, 0.25, 0.2, 0.2)), plan(800)),
    Heard("a label +40 points, busy", Talk((0.65, 0.15, 0.1, 0.1)), plan(800)),
    Heard("a label +40 points, 1:1", Talk((0.65, 0.15, 0.1, 0.1)), side_by_side(5000)),
    Heard("unsure +40 points, busy", Talk(unsure=(0.5, 0.1)), plan(800)),
)
OTHER = (
    Heard("one label always, 100 texts, 1:1", Talk((1, 0, 0, 0)), side_by_side(100)),
    Heard("one label always, 50 texts, 1:9", Talk((1, 0, 0, 0)), (Watch(0.1, 50, 10),)),
    Heard("a label +55 points in 2,000, 1:1", Talk((0.8, 0.1, 0.05, 0.05)), side_by_side(2000)),
    Heard("a label +55 points in 1,000, 1:9", Talk((0.8, 0.1, 0.05, 0.05)), (Watch(0.1, 50, 200),)),
    Heard(
        "a label -55 points in 1,000, 1:9",
        Talk((0.2, 0.4, 0.2, 0.2), (0.75, 0.15, 0.05, 0.05)),
        (Watch(0.1, 50, 200),),
    ),
    Heard("unsure +55 points in 1,000, 1:9", Talk(unsure=(0.65, 0.1)), (Watch(0.1, 50, 200),)),
)
LESS = (
    Probes("-3 points in 2,000, 6 % disagree", 0.045, 0.015, 2000),
    Probes("-3 points in 3,500, 10 % disagree", 0.065, 0.035, 3500),
)
