"""EC2 instances that are there: a folder, an address of their own, and containers that run.

One thread compares what moto and the container records say with what runs, so stop, start,
terminate, stack deletion, a crash and a restart of the sandbox all take the same way.
"""

import hashlib
import json
import shutil
import socket
import threading
from pathlib import Path
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import InstanceBackend

from infra.sandbox import commands
from infra.sandbox.world import ACCOUNT, REGION, Process, World, tell

_LOOK_S = 0.3
_PORTS = (8000, 8001)


def install(world: World) -> None:
    """Give every new instance its address; the same ClientToken is the same reservation."""
    original = InstanceBackend.run_instances

    def run_instances(self: Any, *arguments: Any, **asked: Any) -> Any:
        token = asked.get("client_token")
        if token and token != "ABCDE":  # moto's stand-in for "none given"
            for reservation in self.reservations.values():
                if reservation.instances and reservation.instances[0].client_token == token:
                    return reservation
        reservation = original(self, *arguments, **asked)
        for instance in reservation.instances:
            settle(world, instance)
        return reservation

    InstanceBackend.run_instances = run_instances
    commands.install(world)


def restore(world: World) -> None:
    """Start what shall run, from now on and after every change."""
    commands.restore(world)
    threading.Thread(target=Containers(world).watch, name="instances", daemon=True).start()


def free_address(world: World, name: str) -> str:
    """A loopback address on which nobody serves; the same name gets the same one when free."""
    for salt in range(1000):
        digest = hashlib.sha256(f"{world.state}/{name}/{salt}".encode()).digest()
        address = f"127.{16 + digest[0] % 200}.{digest[1]}.{1 + digest[2] % 254}"
        if all(_is_free(address, port) for port in _PORTS):
            return address
    raise RuntimeError("no free loopback address")


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def settle(world: World, instance: Any) -> None:
    """Make the instance's folder, and its address what moto tells about it."""
    address = free_address(world, instance.id)
    for nic in instance.nics.values():
        for one in nic.private_ip_addresses:
            one["PrivateIpAddress"] = address
        nic.private_ip_address = address
    folder = world.folder("instances", instance.id)
    (folder / "address").write_text(address)


def address_of(world: World, instance_id: str) -> str:
    """The address the instance was given, whatever its state."""
    return (world.state / "instances" / instance_id / "address").read_text()


def all_instances() -> dict[str, Any]:
    """Every instance that moto knows, by id."""
    backend = ec2_backends[ACCOUNT][REGION]
    return {
        instance.id: instance
        for reservation in list(backend.reservations.values())
        for instance in reservation.instances
    }


class Containers:
    """What runs on the instances, made equal to what shall run."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.processes: dict[Path, tuple[Process, dict[str, Any]]] = {}

    def watch(self) -> None:
        for pid in self.world.folder("instances").glob("*/containers/*.pid"):
            pid.unlink()  # of an earlier sandbox, which ended them
        while not self.world.stopping.wait(_LOOK_S):
            try:
                self.look()
            except (OSError, ValueError, RuntimeError) as problem:
                if not self.world.stopping.is_set():
                    tell(f"instances: {problem}")

    def look(self) -> None:
        wanted = self.wanted()
        for path, (process, record) in list(self.processes.items()):
            # Another container may have got the name since the last look.
            if wanted.get(path) != record or not process.running:
                self.world.stop(process)
                path.with_suffix(".pid").unlink(missing_ok=True)
                del self.processes[path]
        for path, record in wanted.items():
            if path not in self.processes:
                self.processes[path] = self.start(path, record), record

    def wanted(self) -> dict[Path, dict[str, Any]]:
        """The records of all containers that shall run now."""
        found = {}
        # The folders first: an instance that is made meanwhile must not look like one without.
        folders = list(self.world.folder("instances").iterdir())
        known = all_instances()
        for folder in folders:
            instance = known.get(folder.name)
            if instance is None or instance.state == "terminated":
                if not any(path.is_relative_to(folder) for path in self.processes):
                    shutil.rmtree(folder, ignore_errors=True)
            elif instance.state == "running":
                for path in folder.glob("containers/*.json"):
                    record = json.loads(path.read_text())
                    if record["wanted"] == "running":
                        found[path] = record
        return found

    def start(self, path: Path, record: dict[str, Any]) -> Process:
        """Start the image's process; what is mounted is found by its path on the instance."""
        entrypoint, image_env = self.world.image_command(record["image"])
        folder = path.parents[1]
        env = {**image_env, **record["env"]}
        env = {name: _host_path(value, record["mounts"]) for name, value in env.items()}
        if record["ports"]:
            inside, outside = next(iter(record["ports"].items()))
            address = (folder / "address").read_text()
            every = "0.0.0.0"  # nosec B104
            env |= {name: address for name, value in env.items() if value == every}
            env |= {name: outside for name, value in env.items() if value == inside}
        process = self.world.spawn(
            f"{folder.name}/{path.stem}",
            [*entrypoint, *record["command"]],
            {"HOME": str(folder), **env},
            folder,
            path.with_suffix(".log"),
        )
        path.with_suffix(".pid").write_text(str(process.pid))
        return process


def _host_path(value: str, mounts: dict[str, str]) -> str:
    for inside, outside in mounts.items():
        if value == inside or value.startswith(f"{inside}/"):
            return outside + value[len(inside) :]
    return value
