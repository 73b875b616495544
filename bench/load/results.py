"""What Locust counted, read from its CSV files and judged by the targets."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from bench.goals import Goal

PAUSE_S = 2.0  # the mean of wait_time in the locustfile
_TARGET_RPS = 1000.0
# p50, p95, p99, and how much of the machine may be taken.
_TARGETS_MS = {"50%": 100.0, "95%": 300.0, "99%": 500.0}
_CPU, _MEMORY, _FAILURES = 70.0, 80.0, 0.01


@dataclass(frozen=True, slots=True)
class Counted:
    """One run. Locust keeps times over 100 ms in steps of 10, over 1 s of 100."""

    requests: int
    failures: int
    rps: float
    ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class Taken:
    """Percent of the machine that the server took; nan when only the files are there."""

    cpu: float = math.nan
    memory: float = math.nan


def read(results: Path) -> Counted:
    """`locust --csv locust_results` writes locust_results_stats.csv; either name will do."""
    file = results
    if not file.is_file():
        file = results.with_name(f"{results.name.removesuffix('.csv')}_stats.csv")
    if not file.is_file():
        raise SystemExit(f"{results}: no such file, nor {file}: run locust with --csv")
    with file.open(encoding="utf-8", newline="") as lines:
        rows = {row.get("Name"): row for row in csv.DictReader(lines)}
    if (total := rows.get("Aggregated")) is None:
        raise SystemExit(f"{file}: has no row Aggregated; is it the _stats.csv of locust?")
    requests = int(total["Request Count"])
    return Counted(
        requests,
        int(total["Failure Count"]),
        float(total["Requests/s"]),
        # N/A before the first request
        {share: float(total[share]) if requests else math.nan for share in _TARGETS_MS},
    )


def judged(found: Counted, taken: Taken, users: int | None) -> list[Goal]:
    """Every target. People who pause ask for little: the throughput to reach is what they ask."""
    goals = [
        Goal(f"p{share.removesuffix('%')} ms", found.ms[share], bound, at_most=True)
        for share, bound in _TARGETS_MS.items()
    ]
    failed = found.failures / found.requests if found.requests else math.nan
    goals.append(Goal("failures, share", failed, _FAILURES, at_most=True))
    # Nine tenths: an answer takes a part of the round, too.
    asked = _TARGET_RPS if users is None else min(_TARGET_RPS, 0.9 * users / PAUSE_S)
    name = "requests/s" if asked == _TARGET_RPS else f"requests/s, of those {users} people ask for"
    goals.append(Goal(name, found.rps, asked))
    goals.append(Goal("CPU of the machine, percent", taken.cpu, _CPU, at_most=True))
    goals.append(Goal("memory of the machine, percent", taken.memory, _MEMORY, at_most=True))
    return goals
