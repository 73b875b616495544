"""Whether a staged version may get callers: what it said, how quickly, and with how much."""

import math
from dataclasses import dataclass

from tasks.policy.answers import Asked, objections
from tasks.records import Answer, Outcome, Usage

MINIMUM_REQUESTS = 5
MAX_P50_MS = 2000.0
# What a release aims at. To miss one is told and never blocks: machines have busy moments.
TARGETS_MS = {"p50_ms": 100, "p95_ms": 300, "p99_ms": 500}
TARGET_CPU_PERCENT = 70
_REFUSALS = frozenset({429, 503})  # by load: how many there were is a figure, not a fault


@dataclass(frozen=True, slots=True)
class Burst:
    """Requests that several callers sent at the same time, no text twice."""

    callers: int
    seconds: float
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """Lone requests, one after the other, then a burst, and what the process took meanwhile."""

    lone: tuple[Asked, ...]
    burst: Burst
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class SmokeReport:
    """`numbers` go to MLflow under smoke/."""

    outcome: Outcome
    reasons: tuple[str, ...]
    numbers: dict[str, float]

    def __str__(self) -> str:
        found = self.numbers
        times = ", ".join(
            f"{name.removesuffix('_ms')} {found[name]:.0f} ms (target {target})"
            for name, target in TARGETS_MS.items()
            if name in found
        )
        parts = [f"{found['requests']:.0f} requests", times]
        if "accuracy" in found:
            parts.append(f"{found['accuracy']:.0%} got the label of the test set")
        if "throughput_rps" in found:
            refused = f", {found['refused']:.0f} refused" if found["refused"] else ""
            parts.append(f"a burst at {found['throughput_rps']:.0f} requests/s{refused}")
        if "cpu_percent" in found:
            parts.append(f"CPU {found['cpu_percent']:.0f} % (target {TARGET_CPU_PERCENT})")
            parts.append(f"memory {found['memory_mb']:.0f} MB")
        else:
            parts.append("CPU and memory: this target does not tell")
        return "; ".join(part for part in parts if part)


def judge(
    seen: Seen, labels: tuple[str, ...], version: str, digest: str, max_p50_ms: float = MAX_P50_MS
) -> SmokeReport:
    """PASS only when every answer keeps its contract and comes from exactly this bundle.

    Of the times only the median of lone requests is judged, against `max_p50_ms`: one hiccup of a
    busy machine must not decide. How many texts got their own label is reported, never judged:
    that is the gate's work.
    """
    found = [reason for one in seen.lone for reason in objections(one, labels, version, digest)]
    for answer in seen.burst.answers:
        if answer.status != 200 and answer.status not in _REFUSALS:
            found.append(f"in a burst: status {answer.status}: {answer.body[:200]}")
        elif answer.status == 200 and (answer.version, answer.digest) != (version, digest):
            found.append(f"in a burst: answered by version {answer.version or 'unknown'}")
    numbers = _numbers(seen)
    if numbers.get("p50_ms", 0) > max_p50_ms:
        found.append(f"half of the requests take over {numbers['p50_ms']:.0f} ms ({max_p50_ms:g})")
    if found:
        return SmokeReport(Outcome.FAIL, tuple(dict.fromkeys(found)), numbers)
    if len(seen.lone) < MINIMUM_REQUESTS:
        few = f"{len(seen.lone)} requests, at least {MINIMUM_REQUESTS} are needed"
        return SmokeReport(Outcome.INCONCLUSIVE, (few,), numbers)
    return SmokeReport(Outcome.PASS, (), numbers)


def _numbers(seen: Seen) -> dict[str, float]:
    """Only what was measured. The second contract asks for texts that the endpoint knows by then,
    so it counts neither for the times nor for the accuracy."""
    first = [one for one in seen.lone if one.contract == "text"]
    numbers = {"requests": float(len(seen.lone) + len(seen.burst.answers))}
    if times := sorted(one.answer.seconds * 1e3 for one in first if one.answer.status == 200):
        for name, share in (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)):
            numbers[name] = times[math.ceil(share * len(times)) - 1]
        numbers["accuracy"] = sum(one.right for one in first) / len(first)
    if seen.burst.answers:
        good = sum(answer.status == 200 for answer in seen.burst.answers)
        refused = sum(answer.status in _REFUSALS for answer in seen.burst.answers)
        numbers |= {"throughput_rps": good / seen.burst.seconds, "refused": float(refused)}
    if seen.usage is not None:
        numbers["cpu_percent"] = seen.usage.cpu_percent
        numbers["memory_mb"] = seen.usage.memory_bytes / 1e6
    return numbers
