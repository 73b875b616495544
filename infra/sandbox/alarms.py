"""CloudWatch alarms that follow their metrics.

Not covered: composite alarms, anomaly detection, metric math beyond + - * / and FILL.
"""

import ast
import datetime
import json
import operator
import re
import threading
from collections.abc import Callable
from typing import Any

from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends
from moto.core.utils import utcnow
from moto.sns.models import sns_backends

from infra.sandbox.metrics import Points, forget, names, series
from infra.sandbox.world import ACCOUNT, REGION, World, tell

_LOOK_S = 3.0
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_MATH = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}


def install(world: World) -> None:
    """A state that lasts: moto forgets it when the alarm is put again."""
    put_alarm = CloudWatchBackend.put_metric_alarm

    def put_metric_alarm(self: Any, name: str, *arguments: Any, **asked: Any) -> Any:
        before = self.alarms.get(name)
        alarm = put_alarm(self, name, *arguments, **asked)
        alarm.state_value = before.state_value if before else "INSUFFICIENT_DATA"
        if before:
            alarm.state_updated_timestamp = before.state_updated_timestamp
        return alarm

    CloudWatchBackend.put_metric_alarm = put_metric_alarm


def restore(world: World) -> None:
    threading.Thread(target=_watch, args=(world,), name="alarms", daemon=True).start()


def _watch(world: World) -> None:
    while not world.stopping.wait(_LOOK_S):
        backend = cloudwatch_backends[ACCOUNT][REGION]
        forget(backend)
        changed = [_look(backend, alarm) for alarm in list(backend.alarms.values())]
        if any(changed) and not world.stopping.is_set():
            world.changed()


def _look(backend: Any, alarm: Any) -> bool:
    try:
        return evaluate(backend, alarm)
    except Exception as problem:  # one that cannot be told must not silence the others
        tell(f"alarm {alarm.name}: {problem!r}")
        return False


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
        place = (alarm.namespace, alarm.metric_name, names(alarm.dimensions))
        period = int(alarm.period)
        return series(backend, *place, stat, period, number, now - period * number)
    found: dict[str, Points] = {}
    for one in queries.values():
        if one.metric_stat:
            metric, period = one.metric_stat.metric, int(one.metric_stat.period)
            found[one.id] = series(
                backend, metric.namespace, metric.metric_name, names(metric.dimensions),
                one.metric_stat.stat, period, number, now - period * number,
            )  # fmt: skip
    shown = next(one for one in queries.values() if str(one.return_data).lower() != "false")
    if shown.id in found:
        return found[shown.id]
    return [
        calculate(shown.expression, {name: values[i] for name, values in found.items()})
        for i in range(number)
    ]


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
