"""ELBv2 load balancers that are there: an address, listeners that forward, targets really probed.

Listeners are compared with moto's state a few times a second, and their actions are read for
every request, so a changed weight counts at once. HTTP only.
"""

import asyncio
import socket
import threading
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from moto.elbv2.models import ELBv2Backend, FakeHealthStatus, FakeTargetGroup, elbv2_backends

from infra.sandbox import instances, proxy
from infra.sandbox.world import ACCOUNT, REGION, World, tell

_LOOK_S = 0.2
_Listener = tuple[str, int, str, str]  # host, port, load balancer, listener
_health: "dict[tuple[str, str], Health]" = {}


@dataclass
class Health:
    """What the probes of one target found."""

    state: str = "initial"
    reason: str | None = "Elb.InitialHealthChecking"
    description: str | None = "Initial health checks in progress"
    good: int = 0
    bad: int = 0
    next_look: float = 0.0

    def passed(self, needed: int) -> None:
        self.good, self.bad = self.good + 1, 0
        # A new target needs one pass, one that failed needs the threshold.
        if self.state == "initial" or self.good >= needed:
            self.state, self.reason, self.description = "healthy", None, None

    def failed(self, needed: int, reason: str, description: str) -> None:
        self.good, self.bad = 0, self.bad + 1
        if self.state == "unhealthy" or self.bad >= needed:
            self.state, self.reason, self.description = "unhealthy", reason, description


def install(world: World) -> None:
    create = ELBv2Backend.create_load_balancer
    answer = FakeTargetGroup.health_for

    def create_load_balancer(self: Any, *arguments: Any, **asked: Any) -> Any:
        balancer = create(self, *arguments, **asked)
        balancer.dns_name = instances.free_address(world, balancer.arn)
        balancer.activate()
        return balancer

    def health_for(self: Any, target: dict[str, Any], ec2_backend: Any) -> FakeHealthStatus:
        told = answer(self, target, ec2_backend)
        if told.status != "healthy":
            return told
        if not (known := _health.get((self.arn, target["Id"]))):
            told.status, told.reason = "unused", "Target.NotInUse"
            told.description = "Target group is not configured to receive traffic"
            if self.arn in _used():
                first = Health()
                told.status, told.reason = first.state, first.reason
                told.description = first.description
        else:
            told.status, told.reason = known.state, known.reason
            told.description = known.description
        return told

    ELBv2Backend.create_load_balancer = create_load_balancer
    FakeTargetGroup.health_for = health_for


def restore(world: World) -> None:
    """Listen and probe from now on."""
    watcher = Watcher(world)
    threading.Thread(target=lambda: asyncio.run(watcher.watch()), daemon=True).start()


def backend() -> Any:
    return elbv2_backends[ACCOUNT][REGION]


def _used() -> set[str]:
    """The target groups that some listener or rule names."""
    found: set[str] = set()
    for balancer in list(backend().load_balancers.values()):
        for listener in list(balancer.listeners.values()):
            for rule in list(listener.rules.values()):
                found |= {arn for arn, _ in proxy.groups(rule.actions)}
    return found


def endpoint(world: World, group: Any, target: dict[str, Any]) -> tuple[str, int]:
    """Where a target listens."""
    name = target["Id"]
    host = instances.address_of(world, name) if name.startswith("i-") else name
    return host, int(target.get("Port") or group.port)


@dataclass
class Watcher:
    """The listeners and the probes, in one event loop."""

    world: World
    servers: "dict[_Listener, tuple[uvicorn.Server, asyncio.Task[None]]]" = field(
        default_factory=dict
    )
    probes: "set[asyncio.Task[None]]" = field(default_factory=set)

    async def watch(self) -> None:
        # uvicorn ends an idle connection after 5 s: one that is older may close under a request.
        limits = httpx.Limits(max_keepalive_connections=200, keepalive_expiry=2)
        async with httpx.AsyncClient(timeout=60, limits=limits, trust_env=False) as client:
            meter = proxy.Meter()
            flushing = asyncio.create_task(meter.flush_for_ever(self.healthy_counts))
            while not self.world.stopping.is_set():
                try:
                    await self.listen(client, meter)
                    self.probe(client)
                except (OSError, RuntimeError, KeyError, ValueError) as problem:
                    # A stack that is being deleted this moment; the next look sees it whole.
                    tell(f"balancers: {problem!r}")
                await asyncio.sleep(_LOOK_S)
            flushing.cancel()

    async def listen(self, client: httpx.AsyncClient, meter: "proxy.Meter") -> None:
        wanted: set[_Listener] = set()
        for balancer in list(backend().load_balancers.values()):
            for listener in list(balancer.listeners.values()):
                wanted.add((balancer.dns_name, int(listener.port), balancer.arn, listener.arn))
        for gone in self.servers.keys() - wanted:
            server, task = self.servers.pop(gone)
            server.should_exit = True
            server.force_exit = True
            await task
        for one in wanted - self.servers.keys():
            place = one[:2]
            # With the protocol named asyncio sets TCP_NODELAY; else each answer waits 40 ms.
            listening = socket.socket(proto=socket.IPPROTO_TCP)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listening.bind(place)
            except OSError as problem:
                tell(f"listener {place[0]}:{place[1]}: {problem}")
                listening.close()
                continue
            app = proxy.Forwarder(*one[2:], client, meter, self.healthy, self.world.faults)
            server = uvicorn.Server(
                uvicorn.Config(app, log_level="error", lifespan="off", server_header=False,
                               date_header=False, access_log=False, timeout_keep_alive=60,
                               proxy_headers=False)  # the caller is who connected, not who it says
            )  # fmt: skip
            self.servers[one] = (server, asyncio.create_task(server._serve([listening])))

    def healthy(self, arn: str) -> list[tuple[str, int]]:
        """Where the group's healthy targets listen; all of them when none is healthy, as on AWS."""
        group = backend().target_groups.get(arn)
        if group is None:
            return []
        found = [
            (endpoint(self.world, group, target), _health.get((arn, name), Health()).state)
            for name, target in list(group.targets.items())
            if _is_running(name)
        ]
        good = [place for place, state in found if state == "healthy"]
        return good or [place for place, _ in found]

    def healthy_counts(self) -> list[tuple[str, str, int, int]]:
        """(load balancer, target group, healthy, unhealthy) of every group in use."""
        counts = []
        for balancer in list(backend().load_balancers.values()):
            arns = {
                arn
                for listener in list(balancer.listeners.values())
                for rule in list(listener.rules.values())
                for arn, _ in proxy.groups(rule.actions)
            }
            for arn in arns:
                group = backend().target_groups.get(arn)
                states = [
                    _health.get((arn, n), Health()).state
                    for n in (list(group.targets) if group else ())
                ]
                good = states.count("healthy")
                counts.append((balancer.arn, arn, good, len(states) - good))
        return counts

    def probe(self, client: httpx.AsyncClient) -> None:
        now = asyncio.get_running_loop().time()
        used, seen = _used(), set()
        for arn, group in list(backend().target_groups.items()):
            for name, target in list(group.targets.items()) if arn in used else ():
                if not _is_running(name):
                    continue
                seen.add((arn, name))
                health = _health.setdefault((arn, name), Health())
                if now >= health.next_look:
                    health.next_look = now + float(group.health_check_interval_seconds or 30)
                    task = asyncio.create_task(self.ask(client, group, target, health))
                    self.probes.add(task)
                    task.add_done_callback(self.probes.discard)
        for gone in _health.keys() - seen:
            del _health[gone]

    async def ask(self, client: Any, group: Any, target: dict[str, Any], health: Health) -> None:
        host, port = endpoint(self.world, group, target)
        if str(group.health_check_port or "traffic-port") != "traffic-port":
            port = int(group.health_check_port)
        limit_s = float(group.health_check_timeout_seconds or 5)
        bad = int(group.unhealthy_threshold_count or 2)
        try:
            url = f"http://{host}:{port}{group.health_check_path or '/'}"
            answer = await client.get(url, timeout=limit_s)
        except httpx.TimeoutException:
            health.failed(bad, "Target.Timeout", "Request timed out")
        except httpx.HTTPError:
            health.failed(bad, "Target.FailedHealthChecks", "Health checks failed")
        else:
            if _matches(answer.status_code, (group.matcher or {}).get("HttpCode", "200")):
                health.passed(int(group.healthy_threshold_count or 5))
            else:
                why = f"Health checks failed with these codes: [{answer.status_code}]"
                health.failed(bad, "Target.ResponseCodeMismatch", why)


def _is_running(name: str) -> bool:
    if not name.startswith("i-"):
        return True
    instance = instances.all_instances().get(name)
    return instance is not None and instance.state == "running"


def _matches(code: int, matcher: str) -> bool:
    for part in matcher.split(","):
        low, _, high = part.partition("-")
        if int(low) <= code <= int(high or low):
            return True
    return False
