"""CloudWatch metrics: how other modules put them, and every statistic that AWS can tell of them.

Not covered: trimmed and winsorised means, metric math in GetMetricData beyond moto's.
"""

import bisect
import datetime
import itertools
import math
import re
import threading
from typing import Any

from moto.cloudwatch.models import (
    CloudWatchBackend,
    MetricAggregatedDatum,
    MetricDatumBase,
    cloudwatch_backends,
)
from moto.core.utils import utcnow

from infra.sandbox.world import ACCOUNT, REGION, World

_KEPT_S = 3 * 3600
_RANK = re.compile(r"PR\(([\d.]*):([\d.]*)\)")
Points = list[float | None]
_Metric = tuple[str, str, frozenset[tuple[str, str]]]  # namespace, name, dimensions


def put(
    namespace: str,
    name: str,
    dimensions: dict[str, str],
    value: float,
    unit: str = "None",
    times: int = 1,
) -> None:
    """Write one value, now; it was measured so many times."""
    told = {"Sum": value * times, "Minimum": value, "Maximum": value, "SampleCount": times}
    cloudwatch_backends[ACCOUNT][REGION].put_metric_data(
        namespace,
        [
            {
                "MetricName": name,
                **({"Value": value} if times == 1 else {"StatisticValues": told}),
                "Unit": unit,
                "Dimensions": [{"Name": n, "Value": v} for n, v in dimensions.items()],
                "Timestamp": utcnow(),  # without a zone, as moto compares it
            }
        ],
    )


def install(world: World) -> None:
    """What moto lacks: statistics of one metric only, percentiles, each metric listed once."""
    get = CloudWatchBackend.get_metric_data

    def fits(self: Any, *arguments: Any) -> bool:
        return names(self.dimensions) == names(arguments[2])

    def get_metric_data(self: Any, queries: Any, start_time: Any, end_time: Any, **how: Any) -> Any:
        start = start_time.replace(second=0, microsecond=0)  # as AWS rounds it
        if any("MetricStat" not in one for one in queries):
            return get(self, queries, start, end_time, **how)
        begin, length = seconds(start), end_time - start
        return [_answer(self, one, begin, length.total_seconds(), how) for one in queries]

    def metrics(self: Any, name: Any, namespace: Any, dimensions: Any) -> list[MetricDatumBase]:
        asked = {(one["Name"], one.get("Value")) for one in dimensions}
        return [
            point
            for metric, point in _TIMELINE.metrics(self)
            if (namespace or metric[0], name or metric[1]) == metric[:2]
            and asked <= metric[2] | {(key, None) for key, _ in metric[2]}
        ]

    MetricDatumBase.filter = fits
    CloudWatchBackend.get_metric_data = get_metric_data
    CloudWatchBackend.get_filtered_metrics = metrics


def _answer(
    backend: Any, query: Any, begin: float, length: float, how: dict[str, Any]
) -> dict[str, Any]:
    """The result of one query, a value for each period that has points."""
    asked = query["MetricStat"]
    metric, period = asked["Metric"], int(asked["Period"])
    number = math.ceil(length / period)
    values = series(
        backend, metric["Namespace"], metric["MetricName"], names(metric.get("Dimensions")),
        asked["Stat"], period, number, begin,
    )  # fmt: skip
    moments = [
        datetime.datetime.fromtimestamp(begin + period * i, datetime.UTC) for i in range(number)
    ]
    found = [(at, value) for at, value in zip(moments, values, strict=True) if value is not None]
    if how.get("scan_by") == "TimestampDescending":
        found.reverse()
    return {
        "id": query["Id"],
        "label": query.get("Label") or f"{metric['MetricName']} {asked['Stat']}",
        "timestamps": [at for at, _ in found],
        "values": [value for _, value in found],
        "status_code": "Complete",
    }


def forget(backend: Any) -> None:
    """Old points would fill the memory of a stack that is up for days."""
    if len(backend.metric_data) > 200_000:
        oldest = datetime.datetime.now(datetime.UTC).timestamp() - _KEPT_S
        backend.metric_data = [p for p in backend.metric_data if seconds(p.timestamp) > oldest]


def names(dimensions: Any) -> dict[str, str]:
    """Of moto's objects and of plain dictionaries."""
    return {
        (one["Name"] if isinstance(one, dict) else one.name): (
            one["Value"] if isinstance(one, dict) else one.value
        )
        for one in dimensions or []
    }


def series(
    backend: Any, namespace: str, name: str, dimensions: dict[str, str],
    stat: str, period: int, number: int, begin: float,
) -> Points:  # fmt: skip
    """The metric over `number` periods one after the other; None for one without a point."""
    values: list[list[Any]] = [[] for _ in range(number)]
    metric = namespace, name, frozenset(dimensions.items())
    for at, point in _TIMELINE.between(backend, metric, begin, begin + period * number):
        values[min(number - 1, int((at - begin) // period))].append(point)
    return [statistic(stat, one) if one else None for one in values]


class _Timeline:
    """The points of each metric in the order of time.

    Moto keeps those of all metrics in one list, and a dozen alarms look at it every few seconds.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._list: list[Any] = []
        self._known = 0
        self._of: dict[_Metric, list[tuple[float, int, Any]]] = {}

    def between(
        self, backend: Any, metric: _Metric, begin: float, end: float
    ) -> list[tuple[float, Any]]:
        with self._lock:
            self._read(backend.metric_data)
            points = self._of.get(metric, [])
            first, last = (bisect.bisect_left(points, (at,)) for at in (begin, end))
            return [(at, point) for at, _, point in points[first:last]]

    def metrics(self, backend: Any) -> list[tuple[_Metric, Any]]:
        """Every metric that has points, and one of them; S3 tells its own at each look."""
        with self._lock:
            self._read(backend.metric_data)
            known = {metric: points[-1][2] for metric, points in self._of.items()}
        return [*known.items(), *((_metric(one), one) for one in backend.aws_metric_data)]

    def _read(self, data: list[Any]) -> None:
        if data is not self._list:  # old points were forgotten, or all of them
            self._list, self._known = data, 0
            self._of = {}
        for number in range(self._known, len(data)):
            point = data[number]
            entry = seconds(point.timestamp), number, point
            bisect.insort(self._of.setdefault(_metric(point), []), entry)
            self._known = number + 1


def _metric(point: Any) -> _Metric:
    return point.namespace, point.name, frozenset(names(point.dimensions).items())


_TIMELINE = _Timeline()


def statistic(stat: str, points: list[Any]) -> float:
    """Of at least one point; a point may stand for many measurements."""
    counted = [isinstance(p, MetricAggregatedDatum) for p in points]
    sums = [p.sum if c else p.value for p, c in zip(points, counted, strict=True)]
    number = sum(p.sample_count if c else 1 for p, c in zip(points, counted, strict=True))
    match stat:
        case "Sum":
            return float(sum(sums))
        case "SampleCount":
            return float(number)
        case "Average":
            return float(sum(sums) / number)
        case "Minimum":
            return float(min(p.min if c else p.value for p, c in zip(points, counted, strict=True)))
        case "Maximum":
            return float(max(p.max if c else p.value for p, c in zip(points, counted, strict=True)))
    ordered = sorted(
        (p.max, p.sample_count) if c else (p.value, 1) for p, c in zip(points, counted, strict=True)
    )
    if rank := _RANK.fullmatch(stat):
        low, high = float(rank[1] or "-inf"), float(rank[2] or "inf")
        return float(100 * sum(times for value, times in ordered if low < value <= high) / number)
    needed = float(stat.removeprefix("p")) / 100 * number
    seen = itertools.accumulate(times for _, times in ordered)
    return float(
        next(one[0] for one, so_far in zip(ordered, seen, strict=True) if so_far >= needed)
    )


def seconds(moment: Any) -> float:
    """Moto keeps datetimes, with and without a zone, and always means UTC."""
    return float((moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp())
