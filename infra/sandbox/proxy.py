"""One listener: choose the rule, choose the target, pass the request on, count it."""

import asyncio
import fnmatch
import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from moto.elbv2.models import elbv2_backends

from infra.sandbox import metrics
from infra.sandbox.faults import Faults
from infra.sandbox.world import ACCOUNT, REGION, tell

_FLUSH_S = 2.0
_STEP = 1.02
_HOP_BY_HOP = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization"),
    *("te", "trailer", "transfer-encoding", "upgrade"),
}
NAMESPACE = "AWS/ApplicationELB"


def groups(actions: list[Any]) -> list[tuple[str, int]]:
    """Target group and weight of a forward action."""
    for action in actions:
        data = action.data if hasattr(action, "data") else action
        if data.get("ForwardConfig", {}).get("TargetGroups"):
            told = data["ForwardConfig"]["TargetGroups"]
            return [(one["TargetGroupArn"], int(one.get("Weight", 1))) for one in told]
        if "TargetGroupArn" in data:
            return [(data["TargetGroupArn"], 1)]
    return []


@dataclass(frozen=True, slots=True)
class Told:
    """What a caller is told: by a target of the group, or by the load balancer for it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    group: str = ""
    target: bool = False
    refused: bool = False


@dataclass
class Meter:
    """Counts between two writes to CloudWatch."""

    counts: "defaultdict[tuple[str, str, str], float]" = field(
        default_factory=lambda: defaultdict(float)
    )
    times: "defaultdict[tuple[str, str], list[float]]" = field(
        default_factory=lambda: defaultdict(list)
    )

    def count(self, balancer: str, told: "Told", seconds: float) -> None:
        """One request that got an answer, of a target or of the load balancer itself."""
        for place in {"", told.group}:
            self.counts[balancer, place, "RequestCount"] += 1
            self.counts[balancer, place, "TargetConnectionErrorCount"] += told.refused
            if told.target:
                self.times[balancer, place].append(seconds)
                self.counts[balancer, place, f"HTTPCode_Target_{told.status // 100}XX_Count"] += 1
        if not told.target:
            self.counts[balancer, "", f"HTTPCode_ELB_{told.status // 100}XX_Count"] += 1

    async def flush_for_ever(self, hosts: Callable[[], list[tuple[str, str, int, int]]]) -> None:
        while True:
            await asyncio.sleep(_FLUSH_S)
            try:
                self.flush(hosts())
            except Exception as problem:  # a stack that changes this moment; else no more metrics
                tell(f"metrics: {problem!r}")

    def flush(self, hosts: list[tuple[str, str, int, int]]) -> None:
        counts, times = self.counts, self.times
        self.counts, self.times = defaultdict(float), defaultdict(list)
        for (balancer, group, name), value in counts.items():
            if value:
                metrics.put(NAMESPACE, name, dimensions(balancer, group), value, "Count")
        for (balancer, group), seconds in times.items():
            told = dimensions(balancer, group)
            # One point for all that are within 1 %, as CloudWatch itself keeps them.
            steps = Counter(round(math.log(one, _STEP)) for one in seconds)
            for step, number in steps.items():
                metrics.put(NAMESPACE, "TargetResponseTime", told, _STEP**step, "Seconds", number)
        for balancer, group, good, bad in hosts:
            told = dimensions(balancer, group)
            metrics.put(NAMESPACE, "HealthyHostCount", told, good, "Count")
            metrics.put(NAMESPACE, "UnHealthyHostCount", told, bad, "Count")


def dimensions(balancer: str, group: str) -> dict[str, str]:
    told = {"LoadBalancer": balancer.rsplit(":", 1)[1].removeprefix("loadbalancer/")}
    return {**told, "TargetGroup": group.rsplit(":", 1)[1]} if group else told


@dataclass
class Forwarder:
    """The ASGI application of one listener."""

    balancer: str
    listener: str
    client: httpx.AsyncClient
    meter: Meter
    healthy: Callable[[str], list[tuple[str, int]]]
    faults: Faults

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        begun = time.perf_counter()
        told = await self.answer(scope, body)
        self.meter.count(self.balancer, told, time.perf_counter() - begun)
        await send({"type": "http.response.start", "status": told.status, "headers": told.headers})
        await send({"type": "http.response.body", "body": told.body})

    async def answer(self, scope: Any, body: bytes) -> Told:
        actions = self.actions(scope)
        fixed = next((a.data for a in actions if a.data["Type"] == "fixed-response"), None)
        if fixed:
            asked = fixed.get("FixedResponseConfig", {})
            return _own(int(asked.get("StatusCode", 200)), asked.get("MessageBody", ""))
        weighted = [one for one in groups(actions) if one[1] > 0]
        if not weighted:
            return _own(503, "Service Temporarily Unavailable")
        (group,) = random.choices([arn for arn, _ in weighted], [w for _, w in weighted])
        targets = self.healthy(group)
        if not targets:
            return _own(503, "Service Temporarily Unavailable")
        host, port = random.choice(targets)
        try:
            answer = await self.client.send(self.request(scope, body, host, port))
        except httpx.ConnectError:
            return replace(_own(502, "Bad Gateway"), group=group, refused=True)
        except httpx.TimeoutException:
            return replace(_own(504, "Gateway Time-out"), group=group)
        except httpx.HTTPError:
            return replace(_own(502, "Bad Gateway"), group=group)
        headers = [
            (name.lower(), value)
            for name, value in answer.headers.raw
            if name.decode().lower() not in {*_HOP_BY_HOP, "content-encoding", "content-length"}
        ]
        status, content = answer.status_code, answer.content
        if self.fails(answer.headers.get("x-model-version", "")):
            status, content = 500, b'{"error": "fault injected"}'
        headers.append((b"content-length", str(len(content)).encode()))
        return Told(status, headers, content, group, target=True)

    def fails(self, version: str) -> bool:
        """The fault `failing-version`: so large a `share` of what the version answers is a 500."""
        fault = self.faults.take("failing-version", version)
        return fault is not None and random.random() < fault.get("share", 1)

    def actions(self, scope: Any) -> list[Any]:
        """Of the first rule that fits, by priority; of the default at last."""
        balancer = elbv2_backends[ACCOUNT][REGION].load_balancers.get(self.balancer)
        listener = balancer.listeners.get(self.listener) if balancer else None
        if listener is None:
            return []
        rules = [one for one in list(listener.rules.values()) if one.priority != "default"]
        for rule in sorted(rules, key=lambda one: int(one.priority)):
            if all(_fits(condition, scope) for condition in rule.conditions):
                return list(rule.actions)
        return list(listener.default_actions)

    def request(self, scope: Any, body: bytes, host: str, port: int) -> httpx.Request:
        sent = [(n, v) for n, v in scope["headers"] if n.decode().lower() not in _HOP_BY_HOP]
        before = b", ".join(v for n, v in sent if n == b"x-forwarded-for")
        caller = scope["client"][0].encode()
        kept = [(n, v) for n, v in sent if n not in (b"x-forwarded-for", b"content-length")]
        kept += [
            (b"x-forwarded-for", before + b", " + caller if before else caller),
            (b"x-forwarded-proto", b"http"),
            (b"x-forwarded-port", str(scope["server"][1]).encode()),
        ]
        query = scope["query_string"].decode()
        url = f"http://{host}:{port}{scope['raw_path'].decode()}{'?' + query if query else ''}"
        return self.client.build_request(scope["method"], url, headers=kept, content=body)


def _own(status: int, text: str) -> Told:
    """What the load balancer itself answers."""
    body = text.encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    return Told(status, [*headers, (b"server", b"awselb/2.0")], body)


def _fits(condition: dict[str, Any], scope: Any) -> bool:
    match condition["Field"]:
        case "path-pattern":
            values = condition.get("PathPatternConfig", condition).get("Values", [])
            return any(fnmatch.fnmatchcase(scope["path"], one) for one in values)
        case "http-header":
            told = condition["HttpHeaderConfig"]
            name = told["HttpHeaderName"].lower().encode()
            sent = [v.decode().lower() for n, v in scope["headers"] if n == name]
            wanted = [one.lower() for one in told["Values"]]
            return any(fnmatch.fnmatchcase(value, one) for value in sent for one in wanted)
        case "http-request-method":
            return scope["method"] in condition["HttpRequestMethodConfig"]["Values"]
    return False
