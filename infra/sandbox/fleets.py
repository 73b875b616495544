"""Which processes serve an endpoint, and how an endpoint goes from one configuration to another."""

import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.utils import utcnow

from infra.sandbox.extension import sagemaker
from infra.sandbox.serverless import at_once
from infra.sandbox.variants import NotHealthy, Server, describe
from infra.sandbox.world import ACCOUNT, REGION, World, tell

_DRAIN_S = 60


@dataclass(eq=False)
class Fleet:
    """All variants of one configuration, running."""

    config: str
    variants: list[dict[str, Any]]
    servers: dict[str, Server]

    def to_keep(self) -> dict[str, Any]:
        """What is needed to start the same processes again."""
        return {
            name: {"model": s.model, "container": s.container, "folder": s.folder.name}
            for name, s in self.servers.items()
        }


class RolledBack(Exception):
    """The update goes back to the old configuration."""


class Fleets:
    """The fleets of all endpoints; during a blue/green update an endpoint has two with shares."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.routes: dict[str, list[tuple[float, Fleet]]] = {}
        self.asked = threading.Condition()  # held to choose a server, and to change how
        self.answering: Counter[Server] = Counter()  # requests on their way to each
        self._number = 0

    def watch(self) -> None:
        """Start what died again, until the sandbox stops."""
        while not self.world.stopping.wait(1):
            for routes in list(self.routes.values()):
                for server in [s for _, fleet in routes for s in fleet.servers.values()]:
                    try:
                        server.revive()
                    except (NotHealthy, OSError, RuntimeError) as problem:
                        tell(f"{server.endpoint}: {problem}")

    def build(self, endpoint: Any, config_name: str, old: Fleet | None = None) -> Fleet:
        """Servers for the configuration, not started; unchanged ones are taken from the old."""
        config: Any = sagemaker().endpoint_configs[config_name]
        fleet = Fleet(config_name, [], {})
        for variant in config.production_variants:
            name, model = variant["VariantName"], variant["ModelName"]
            container = _container(sagemaker().describe_model(model))
            fleet.variants.append(describe(variant, container, utcnow()))
            kept = old.servers.get(name) if old else None
            wanted = (model, container, at_once(variant))
            if kept and (kept.model, kept.container, kept.at_once) == wanted:
                fleet.servers[name] = kept
                continue
            fleet.servers[name] = self._server(endpoint.endpoint_name, variant, container)
        return fleet

    def bring_up(self, fleet: Fleet, old: Fleet | None = None) -> None:
        """Start and await all new servers; NotHealthy with none of them left running."""
        new = _only_in(fleet, old)
        try:
            for server in new:
                if self.world.faults.take("capacity-error", server.endpoint):
                    raise NotHealthy(
                        "Unable to provision requested ML compute capacity due to"
                        " InsufficientInstanceCapacity error. Please retry using a different ML"
                        " instance type or after some time."
                    )
                server.prepare()
                server.start()
            for server in new:
                server.wait_until_ready()
        except (NotHealthy, OSError) as problem:
            self.retire(new)
            raise NotHealthy(str(problem)) from problem

    def create(self, endpoint: Any) -> None:
        """Creating -> InService, or Failed with the reason."""
        try:
            fleet = self.build(endpoint, endpoint.endpoint_config_name)
            endpoint.production_variants = fleet.variants
            self.bring_up(fleet)
        except Exception as problem:  # whatever it is, the endpoint must not stay in Creating
            endpoint.failure_reason = str(problem)[:1024]
            self._settle(endpoint, "Failed")
            return
        self._serve(endpoint, fleet)

    def update(self, endpoint: Any, config: str, deployment: dict[str, Any], retain: bool) -> None:
        """Updating -> InService, with the new configuration or, silently, with the old one."""
        name = endpoint.endpoint_name
        old = self.routes[name][0][1]
        fleet = old
        try:
            fleet = self.build(endpoint, config, old)
            if retain:
                _retain(endpoint.production_variants, fleet.variants)
            self.bring_up(fleet, old)
            self._shift(name, old, fleet, deployment)
        except Exception as problem:  # AWS tells nobody why it rolled back
            tell(f"update of {name} to {config} rolled back: {problem}")
            self.routes[name] = [(1.0, old)]
            self.retire(_only_in(fleet, old))
            self._settle(endpoint, "InService")
            return
        self._serve(endpoint, fleet)
        self.retire(_only_in(old, fleet))

    def weigh(self, endpoint: Any) -> None:
        """Updating -> InService, with the weights and counts that were asked for."""
        with self.asked:  # nobody chooses while the weights are half of the one split
            for variant in endpoint.production_variants:
                variant["CurrentWeight"] = variant["DesiredWeight"]
                variant["CurrentInstanceCount"] = variant["DesiredInstanceCount"]
        self._settle(endpoint, "InService")

    def _shift(self, name: str, old: Fleet, new: Fleet, deployment: dict[str, Any]) -> None:
        """Move traffic as the DeploymentConfig says, watching its alarms."""
        policy = deployment.get("BlueGreenUpdatePolicy", {})
        routing = policy.get("TrafficRoutingConfiguration", {})
        alarms = deployment.get("AutoRollbackConfiguration", {}).get("Alarms", [])
        names = [alarm["AlarmName"] for alarm in alarms]
        if self.world.faults.take("silent-rollback", name):
            raise RolledBack("fault injected")
        for share in _shares(routing):
            self.routes[name] = [(1 - share, old), (share, new)]
            self._wait(routing.get("WaitIntervalInSeconds", 0), names)
        self._wait(policy.get("TerminationWaitInSeconds", 0), names)

    def _wait(self, seconds: float, alarms: list[str]) -> None:
        until = time.monotonic() + seconds
        while True:
            held = cloudwatch_backends[ACCOUNT][REGION].alarms
            if red := [a for a in alarms if a in held and held[a].state_value == "ALARM"]:
                raise RolledBack(f"alarm {red[0]} is in ALARM")
            if (left := until - time.monotonic()) <= 0 or self.world.stopping.wait(min(1, left)):
                return

    def resume(self, endpoint: Any) -> None:
        """After a start of the sandbox: serve again what served before."""
        fleet = Fleet(endpoint.endpoint_config_name, endpoint.production_variants, {})
        config = sagemaker().endpoint_configs[fleet.config]
        described = {one["VariantName"]: one for one in config.production_variants}
        for variant, kept in endpoint.live.items():
            folder = self._folder(endpoint.endpoint_name) / kept["folder"]
            fleet.servers[variant] = Server(
                self.world,
                endpoint.endpoint_name,
                variant,
                kept["model"],
                kept["container"],
                folder,
                at_once=at_once(described[variant]),
            )
        try:
            for server in fleet.servers.values():
                server.start()
            for server in fleet.servers.values():
                server.wait_until_ready()
        except (NotHealthy, OSError) as problem:
            endpoint.failure_reason = str(problem)[:1024]
            self._settle(endpoint, "Failed")
            return
        self._serve(endpoint, fleet)

    def retire(self, servers: list[Server]) -> None:
        """End servers that no route leads to, once the requests on their way are answered."""
        with self.asked:
            self.asked.wait_for(lambda: not any(self.answering[one] for one in servers), _DRAIN_S)
        threads = [threading.Thread(target=server.retire) for server in servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def remove(self, name: str) -> None:
        """The endpoint is deleted."""
        for _, fleet in self.routes.pop(name, []):
            self.retire(list(fleet.servers.values()))

    def _serve(self, endpoint: Any, fleet: Fleet) -> None:
        self.routes[endpoint.endpoint_name] = [(1.0, fleet)]
        endpoint.production_variants = fleet.variants
        endpoint.endpoint_config_name = fleet.config
        endpoint.live = fleet.to_keep()
        self._settle(endpoint, "InService")

    def _settle(self, endpoint: Any, status: str) -> None:
        if not self.world.stopping.is_set():
            endpoint.endpoint_status = status
            endpoint.last_modified_time = utcnow()
            self.world.changed()

    def _server(self, name: str, variant: dict[str, Any], container: dict[str, Any]) -> Server:
        self._number += 1
        stamp = f"{variant['VariantName']}-{int(time.time() * 1000)}-{self._number}"
        slow = self.world.faults.take("slow-variant", variant["VariantName"]) or {}
        server = Server(
            *(self.world, name, variant["VariantName"], variant["ModelName"], container),
            folder=self._folder(name) / stamp,
            at_once=at_once(variant),
            slow_ms=slow.get("milliseconds", 500) if slow else 0,
        )
        limit = variant.get("ContainerStartupHealthCheckTimeoutInSeconds")
        server.ready_s = float(limit or server.ready_s)
        return server

    def _folder(self, name: str) -> Any:
        return self.world.folder("endpoints", name)


def _only_in(fleet: Fleet, other: Fleet | None) -> list[Server]:
    kept = set(other.servers.values()) if other else set()
    return [server for server in fleet.servers.values() if server not in kept]


def _container(model: Any) -> dict[str, Any]:
    container: dict[str, Any] = model.primary_container or (model.containers or [{}])[0]
    return container


def _retain(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> None:
    held = {variant["VariantName"]: variant for variant in old}
    for variant in new:
        before = held.get(variant["VariantName"], {})
        for key in ("Weight", "InstanceCount"):
            for one in (f"Current{key}", f"Desired{key}"):
                variant[one] = before.get(one, variant[one])


def _shares(routing: dict[str, Any]) -> list[float]:
    """The shares of the new fleet, step by step, each waited for."""
    match routing.get("Type"):
        case "CANARY":
            return [min(routing["CanarySize"]["Value"] / 100, 0.5), 1.0]
        case "LINEAR":
            step = max(10, min(routing["LinearStepSize"]["Value"], 50))
            return [min(share, 100) / 100 for share in range(step, 100 + step, step)]
    return [1.0]
