"""What an arm of a rollout counted: whether it can be true, and as numbers."""

from math import isfinite

from tasks.records import Arm


def broken(side: str, arm: Arm) -> list[str]:
    """What cannot be; NaN and None come from metrics and not from counting."""
    counts = {"requests": arm.requests, "errors": arm.errors, "slow": arm.slow}
    times = _times(arm)
    whose = f"{side} version {arm.version}"
    found = [f"{whose}: {name} is {one}" for name, one in counts.items() if not _usable(one)]
    found += [
        f"{whose}: {name} is {one}"
        for name, one in times.items()
        if one is not None and not _usable(one)
    ]
    if found:
        return found
    return [
        f"{whose}: {name} {one:,} of {arm.requests:,} requests"
        for name, one in counts.items()
        if one > arm.requests
    ]


def missing(side: str, arm: Arm) -> list[str]:
    """Requests without latencies: nobody knows how many of them were slow."""
    if arm.requests and None in _times(arm).values():
        return [f"{side} version {arm.version}: no latencies of {arm.requests:,} requests"]
    return []


def _usable(value: float | None) -> bool:
    return value is not None and isfinite(value) and value >= 0


def numbers(side: str, arm: Arm) -> dict[str, float]:
    found = {
        f"{side}_requests": float(arm.requests),
        f"{side}_error_rate": arm.errors / max(arm.requests, 1),
        f"{side}_slow_share": arm.slow / max(arm.requests, 1),
    }
    times = _times(arm)
    return found | {f"{side}_{name}": one for name, one in times.items() if one is not None}


def _times(arm: Arm) -> dict[str, float | None]:
    return {"p50_ms": arm.p50_ms, "p95_ms": arm.p95_ms, "p99_ms": arm.p99_ms}
