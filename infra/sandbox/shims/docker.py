"""The docker commands that a deploy document uses; a container is a record that the sandbox obeys.

`run` writes the record, the sandbox starts the image's process at the instance's address, and
starts it again after a crash or a restart. Options about isolation are accepted and do nothing.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from infra.sandbox.world import MARK, UnknownImage, World, write_atomically

_STOP_S = 60


def main() -> int:
    if not sys.argv[1:]:
        return _fail("docker: a command is missing")
    command, arguments = sys.argv[1], sys.argv[2:]
    if command in ("login", "image", "system"):
        if not sys.stdin.isatty() and "--password-stdin" in arguments:
            sys.stdin.read()
        print("Login Succeeded" if command == "login" else "Total reclaimed space: 0B")
        return 0
    verbs = {
        "pull": pull, "run": run, "stop": stop, "start": start, "restart": restart,
        "rm": remove, "ps": ps, "logs": logs, "port": port,
    }  # fmt: skip
    if command not in verbs:
        return _fail(f"docker: '{command}' is not a docker command of this sandbox")
    return verbs[command](arguments)


def folder() -> Path:
    path = Path(os.environ["SANDBOX_INSTANCE"]) / "containers"
    path.mkdir(parents=True, exist_ok=True)
    return path


def pull(arguments: list[str]) -> int:
    image = arguments[-1]
    try:
        World(Path(os.environ[MARK])).image_command(image)
    except UnknownImage as problem:
        return _fail(f"Error response from daemon: manifest for {image} not found: {problem}")
    print(f"Status: Image is up to date for {image}")
    return 0


def run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="docker run", add_help=False)
    parser.add_argument("-d", "--detach", action="store_true", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("-p", "--publish", action="append", default=[])
    parser.add_argument("-v", "--volume", action="append", default=[])
    parser.add_argument("-e", "--env", action="append", default=[])
    valued = ("restart", "user", "cap-drop", "security-opt", "tmpfs", "memory", "log-driver")
    for ignored in (*valued, "network"):
        parser.add_argument(f"--{ignored}", action="append")
    for ignored in ("read-only", "no-healthcheck"):
        parser.add_argument(f"--{ignored}", action="store_true")
    parser.add_argument("image")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args(arguments)
    if _read(asked.name):
        return _fail(
            f'docker: Error response from daemon: Conflict. The name "/{asked.name}" is in use', 125
        )
    if pull([asked.image]):
        return 125
    record = {
        "image": asked.image,
        "command": asked.command,
        "env": dict(one.split("=", 1) for one in asked.env),
        "mounts": {v.split(":")[1]: v.split(":")[0] for v in asked.volume},
        "ports": dict(one.split(":")[::-1] for one in asked.publish),
        "wanted": "running",
    }
    for host in record["mounts"].values():
        if not Path(host).exists():
            return _fail(f"docker: Error response from daemon: no such path {host}", 125)
    _write(asked.name, record)
    print(asked.name)
    return 0


def stop(arguments: list[str]) -> int:
    name = arguments[-1]
    if not (record := _read(name)):
        return _fail(f"Error response from daemon: No such container: {name}")
    _write(name, {**record, "wanted": "stopped"})
    if not _ended(name):
        return _fail(f"Error response from daemon: cannot stop container: {name}: it still runs")
    print(name)
    return 0


def start(arguments: list[str]) -> int:
    name = arguments[-1]
    if not (record := _read(name)):
        return _fail(f"Error response from daemon: No such container: {name}")
    _write(name, {**record, "wanted": "running"})
    print(name)
    return 0


def restart(arguments: list[str]) -> int:
    return stop(arguments) or start(arguments)


def remove(arguments: list[str]) -> int:
    name = arguments[-1]
    if not (record := _read(name)):
        return _fail(f"Error response from daemon: No such container: {name}")
    if record["wanted"] == "running" and not {"-f", "--force"} & set(arguments):
        return _fail(f"Error response from daemon: container {name} is running: stop it or use -f")
    _write(name, {**record, "wanted": "stopped"})
    if not _ended(name):
        return _fail(f"Error response from daemon: cannot stop container: {name}: it still runs")
    (folder() / f"{name}.json").unlink(missing_ok=True)
    (folder() / f"{name}.log").unlink(missing_ok=True)
    print(name)
    return 0


def ps(arguments: list[str]) -> int:
    quiet = any(one in ("-q", "-aq", "-qa", "--quiet") for one in arguments)
    everything = any(one in ("-a", "-aq", "-qa", "--all") for one in arguments)
    if not quiet:
        print("NAMES\tIMAGE\tSTATUS\tPORTS")
    for path in sorted(folder().glob("*.json")):
        record = json.loads(path.read_text())
        if not everything and record["wanted"] != "running":
            continue
        status = "Up" if record["wanted"] == "running" else "Exited"
        print(
            path.stem if quiet else f"{path.stem}\t{record['image']}\t{status}\t{record['ports']}"
        )
    return 0


def logs(arguments: list[str]) -> int:
    name = arguments[-1]
    if not _read(name):
        return _fail(f"Error response from daemon: No such container: {name}")
    path = folder() / f"{name}.log"
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    if "--tail" in arguments:
        lines = lines[-int(arguments[arguments.index("--tail") + 1]) :]
    print("\n".join(lines))
    return 0


def port(arguments: list[str]) -> int:
    record = _read(arguments[0])
    wanted = arguments[1].removesuffix("/tcp") if len(arguments) > 1 else ""
    if not record or wanted not in record["ports"]:
        return _fail(f"Error: No public port '{wanted}' published for {arguments[0]}")
    address = (folder().parent / "address").read_text()
    print(f"{address}:{record['ports'][wanted]}")
    return 0


def _read(name: str) -> dict[str, Any] | None:
    path = folder() / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def _write(name: str, record: dict[str, Any]) -> None:
    write_atomically(folder() / f"{name}.json", json.dumps(record).encode())


def _pid(name: str) -> Path:
    return folder() / f"{name}.pid"


def _ended(name: str) -> bool:
    """Whether the container's process ends in time; the sandbox sees to it."""
    end = time.monotonic() + _STOP_S
    while running := _pid(name).exists():
        if time.monotonic() > end:
            break
        time.sleep(0.1)
    return not running


def _fail(message: str, code: int = 1) -> int:
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
