"""What CloudWatch counted of the requests that each version answered."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tasks.errors import DeployFailed
from tasks.records import Arm

_PERCENTILES = ("p50", "p95", "p99")
Series = dict[datetime, float]


@dataclass(frozen=True, slots=True)
class Meter:
    """Under which names a kind of target counts; `per_ms` of its latency's units are 1 ms."""

    namespace: str
    requests: str
    errors: tuple[str, ...]
    latency: str
    per_ms: float


# A target that cannot be reached answers nothing: the load balancer's 502 is its error.
BALANCER = Meter(
    "AWS/ApplicationELB",
    "RequestCount",
    ("HTTPCode_Target_5XX_Count", "TargetConnectionErrorCount"),
    "TargetResponseTime",
    0.001,
)
VARIANT = Meter("AWS/SageMaker", "Invocations", ("Invocation5XXErrors",), "ModelLatency", 1000.0)


def arms(
    cloudwatch: Any,
    meter: Meter,
    sides: list[tuple[str, dict[str, str]]],
    since: datetime,
    until: datetime,
    slow_s: float,
) -> list[Arm]:
    """One arm for each (version, dimensions), all over the same minutes.

    CloudWatch keeps whole minutes, so they begin with the one in which `since` lies. A latency
    without a data point is None. DeployFailed when CloudWatch cannot tell: that is not "no data".
    """
    begin = since.replace(second=0, microsecond=0)
    minutes = max(1, math.ceil((until - begin).total_seconds() / 60))
    asked = _statistics(meter, slow_s)
    told = _read(
        cloudwatch,
        [
            _query(f"{name}_{number}", meter.namespace, metric, dimensions, stat, 60 * minutes)
            for number, (_, dimensions) in enumerate(sides)
            for name, (metric, stat) in asked.items()
        ],
        begin,
        begin + timedelta(minutes=minutes),
    )
    return [
        _arm(version, meter, {name: told[f"{name}_{number}"] for name in asked})
        for number, (version, _) in enumerate(sides)
    ]


def _statistics(meter: Meter, slow_s: float) -> dict[str, tuple[str, str]]:
    """Metric and statistic behind each number of an arm."""
    limit = f"{slow_s * 1000 * meter.per_ms:.10f}".rstrip("0").rstrip(".")
    rank = f"PR(:{limit})"  # percent of the requests up to this
    return {
        "requests": (meter.requests, "Sum"),
        **{f"errors{i}": (metric, "Sum") for i, metric in enumerate(meter.errors)},
        **{name: (meter.latency, name) for name in _PERCENTILES},
        "within": (meter.latency, rank),
    }


def _arm(version: str, meter: Meter, told: dict[str, Series]) -> Arm:
    counted = told["requests"]
    errors = round(sum(sum(told[f"errors{i}"].values()) for i in range(len(meter.errors))))
    slow = sum((100 - share) / 100 * counted.get(at, 0) for at, share in told["within"].items())
    # One value each; should CloudWatch cut the minutes in two, the worse one is told.
    worst = {name: max(told[name].values(), default=None) for name in _PERCENTILES}
    p50, p95, p99 = (None if one is None else one / meter.per_ms for one in worst.values())
    # The counts of the running minute do not arrive at once.
    number = max(round(sum(counted.values())), errors)
    return Arm(version, number, errors, round(slow), p50, p95, p99)


def _query(
    name: str, namespace: str, metric: str, dimensions: dict[str, str], stat: str, period_s: int
) -> dict[str, Any]:
    named = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    told = {"Namespace": namespace, "MetricName": metric, "Dimensions": named}
    return {"Id": name, "MetricStat": {"Metric": told, "Period": period_s, "Stat": stat}}


def _read(
    cloudwatch: Any, queries: list[dict[str, Any]], begin: datetime, end: datetime
) -> dict[str, Series]:
    found: dict[str, Series] = {query["Id"]: {} for query in queries}
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=begin, EndTime=end
    )
    for one in (result for page in pages for result in page["MetricDataResults"]):
        if one["StatusCode"] not in {"Complete", "PartialData"}:
            raise DeployFailed(f"CloudWatch cannot tell {one['Label']}: {one['StatusCode']}")
        found[one["Id"]].update(zip(one["Timestamps"], one["Values"], strict=True))
    return found
