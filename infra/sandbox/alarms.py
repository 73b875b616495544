"""CloudWatch alarms that follow their metrics, and the way other modules put metrics.

Not covered: composite alarms, anomaly detection, metric math beyond + - * / and FILL.
"""

import ast
import datetime
import json
import math
import operator
import re
import threading
from collections.abc import Callable
from typing import Any

from moto.cloudwatch.models import (
    CloudWatchBackend,
    MetricAggregatedDatum,
    MetricDatumBase,
    cloudwatch_backends,
)
from moto.core.utils import utcnow
from moto.sns.models import sns_backends

from infra.sandbox.world import ACCOUNT, REGION, World

_LOOK_S = 3.0
_KEPT_S = 3 * 3600
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_MATH = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}
Points = list[float | None]


def put(
    namespace: str, name: str, dimensions: dict[str, str], value: float, unit: str = "None"
) -> None:
    """Write one point, now."""
    cloudwatch_backends[ACCOUNT][REGION].put_metric_data(
        namespace,
        [
            {
                "MetricName": name,
                "Value": value,
                "Unit": unit,
                "Dimensions": [{"Name": n, "Value": v} for n, v in dimensions.items()],
                "Timestamp": utcnow(),  # without a zone, as moto compares it
            }
        ],
    )


def install(world: World) -> None:
    """Two ways of AWS that moto lacks: statistics of one metric only, and states that last."""
    original, put_alarm = MetricDatumBase.filter, CloudWatchBackend.put_metric_alarm

    def fits(self: Any, *arguments: Any, **asked: Any) -> bool:
        if "already_present_metrics" in asked:  # ListMetrics
            return bool(original(self, *arguments, **asked))
        return _names(self.dimensions) == _names(arguments[2])

    def put_metric_alarm(self: Any, name: str, *arguments: Any, **asked: Any) -> Any:
        before = self.alarms.get(name)
        alarm = put_alarm(self, name, *arguments, **asked)
        alarm.state_value = before.state_value if before else "INSUFFICIENT_DATA"
        return alarm

    MetricDatumBase.filter = fits
    CloudWatchBackend.put_metric_alarm = put_metric_alarm


def restore(world: World) -> None:
    threading.Thread(target=_watch, args=(world,), name="alarms", daemon=True).start()


def _watch(world: World) -> None:
    while not world.stopping.wait(_LOOK_S):
        backend = cloudwatch_backends[ACCOUNT][REGION]
        _forget(backend)
        changed = [evaluate(backend, alarm) for alarm in list(backend.alarms.values())]
        if any(changed) and not world.stopping.is_set():
            world.changed()


def _forget(backend: Any) -> None:
    """Old points would fill the memory of a stack that is up for days."""
    if len(backend.metric_data) > 200_000:
        oldest = datetime.datetime.now(datetime.UTC).timestamp() - _KEPT_S
        backend.metric_data = [p for p in backend.metric_data if _seconds(p.timestamp) > oldest]


def evaluate(backend: Any, alarm: Any) -> bool:
    """Set the alarm to what its metrics say; true when that is a change."""
    if alarm.rule or alarm.comparison_operator not in _COMPARE:
        return False
    now = datetime.datetime.now(datetime.UTC).timestamp()
    points = _points(backend, alarm, now)
    state, reason = _state(alarm, points)
    if state is None or state == alarm.state_value:
        return False
    before = alarm.state_value
    alarm.update_state(reason, json.dumps({"recentDatapoints": points}), state)
    if alarm.actions_enabled:
        _act(alarm, before, state, reason)
    return True


def _state(alarm: Any, points: Points) -> tuple[str | None, str]:
    needed = int(alarm.datapoints_to_alarm or alarm.evaluation_periods)
    missing = alarm.treat_missing_data or "missing"
    breaches = _COMPARE[alarm.comparison_operator]
    if all(point is None for point in points):
        if missing == "ignore":
            return None, ""
        if missing == "missing":
            return "INSUFFICIENT_DATA", "Insufficient Data: no datapoints were received"
    bad = sum(
        missing == "breaching" if p is None else breaches(p, float(alarm.threshold)) for p in points
    )
    told = f"{bad} of {len(points)} datapoints {points} against the threshold {alarm.threshold}"
    if bad >= needed:
        return "ALARM", f"Threshold Crossed: {told} ({alarm.comparison_operator})"
    return "OK", f"Threshold not crossed: {told} ({alarm.comparison_operator})"


def _points(backend: Any, alarm: Any, now: float) -> Points:
    """One value for each of the newest periods, oldest first; None where there is none."""
    number = int(alarm.evaluation_periods)
    queries = {one.id: one for one in alarm.metric_data_queries}
    if not queries:
        stat = alarm.statistic or alarm.extended_statistic
        place = (alarm.namespace, alarm.metric_name, _names(alarm.dimensions))
        return series(backend, *place, stat, int(alarm.period), number, now)
    found: dict[str, Points] = {}
    for one in queries.values():
        if one.metric_stat:
            metric = one.metric_stat.metric
            found[one.id] = series(
                backend, metric.namespace, metric.metric_name, _names(metric.dimensions),
                one.metric_stat.stat, int(one.metric_stat.period), number, now,
            )  # fmt: skip
    shown = next(one for one in queries.values() if str(one.return_data).lower() != "false")
    if shown.id in found:
        return found[shown.id]
    return [
        calculate(shown.expression, {name: values[i] for name, values in found.items()})
        for i in range(number)
    ]


def _names(dimensions: Any) -> dict[str, str]:
    """Of moto's objects and of plain dictionaries."""
    return {
        (one["Name"] if isinstance(one, dict) else one.name): (
            one["Value"] if isinstance(one, dict) else one.value
        )
        for one in dimensions or []
    }


def series(
    backend: Any, namespace: str, name: str, dimensions: dict[str, str],
    stat: str, period: int, number: int, now: float,
) -> Points:  # fmt: skip
    """The metric over the last `number` whole periods that end now."""
    values: list[list[Any]] = [[] for _ in range(number)]
    for point in list(backend.metric_data):
        if point.namespace != namespace or point.name != name:
            continue
        age = now - _seconds(point.timestamp)
        if 0 <= age < period * number and _names(point.dimensions) == dimensions:
            values[number - 1 - int(age // period)].append(point)
    return [_statistic(stat, one) if one else None for one in values]


def _statistic(stat: str, points: list[Any]) -> float:
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
    rank = float(stat.removeprefix("p")) / 100
    ordered = sorted(p.max if c else p.value for p, c in zip(points, counted, strict=True))
    return float(ordered[max(0, math.ceil(rank * len(ordered)) - 1)])


def calculate(expression: str, values: dict[str, float | None]) -> float | None:
    """The expression for one period; None when a part of it has no value."""

    def value(node: ast.AST) -> float | None:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name):
                return values[name]
            case ast.Call(func=ast.Name(id="FILL"), args=[inner, default]):
                found = value(inner)
                return value(default) if found is None else found
            case ast.BinOp(left=left, op=op, right=right):
                one, two = value(left), value(right)
                if one is None or two is None:
                    return None
                if isinstance(op, ast.Div):
                    return one / two if two else None
                return float(_MATH[type(op)](one, two))
        raise ValueError(f"metric math {expression!r} is not known to the sandbox")

    return value(ast.parse(re.sub(r"\s+", " ", expression), mode="eval").body)


def _seconds(moment: Any) -> float:
    """Moto keeps datetimes, with and without a zone, and always means UTC."""
    return float((moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp())


def _act(alarm: Any, before: str, state: str, reason: str) -> None:
    actions = {"ALARM": alarm.alarm_actions, "OK": alarm.ok_actions}
    for arn in actions.get(state, alarm.insufficient_data_actions) or []:
        topics = sns_backends[ACCOUNT][REGION].topics
        if arn in topics:
            told = {
                "AlarmName": alarm.name,
                "AlarmDescription": alarm.description,
                "AWSAccountId": ACCOUNT,
                "Region": REGION,
                "OldStateValue": before,
                "NewStateValue": state,
                "NewStateReason": reason,
                "StateChangeTime": utcnow().isoformat(timespec="milliseconds") + "+0000",
                "AlarmArn": alarm.alarm_arn,
            }
            topics[arn].publish(json.dumps(told), subject=f"{state}: {alarm.name}"[:99])
