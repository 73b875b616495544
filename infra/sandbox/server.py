"""AWS on a laptop: `python -m infra.sandbox.server --port N --state DIR`."""

import argparse
import importlib
import json
import os
import signal
import threading
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from infra.sandbox import storage
from infra.sandbox.calls import Environ, Start, Wsgi
from infra.sandbox.faults import Gate, UnknownFault
from infra.sandbox.snapshots import Saved, Snapshots
from infra.sandbox.world import World

HOST = "127.0.0.1"
MODULES = (
    "storage",
    "logstreams",
    "jobs",
    "endpoints",
    "packages",
    "instances",
    "balancers",
    "metrics",
    "alarms",
    "stacks",
)


class Admin:
    """The routes below /_sandbox; everything else goes to AWS."""

    def __init__(self, aws: Wsgi, world: World) -> None:
        self.aws = aws
        self.world = world

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if not path.startswith("/_sandbox/"):
            return self.aws(environ, start)
        status, answer = self.answer(environ["REQUEST_METHOD"], path.rsplit("/", 1)[-1], environ)
        body = json.dumps(answer).encode()
        start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def answer(self, method: str, what: str, environ: Environ) -> tuple[str, Any]:
        faults = self.world.faults
        match method, what:
            case "GET", "health":
                return "200 OK", {"status": "ok", "url": self.world.url, "pid": os.getpid()}
            case "GET", "faults":
                return "200 OK", faults.list()
            case "POST", "faults":
                length = int(environ.get("CONTENT_LENGTH") or 0)
                try:
                    faults.add(json.loads(environ["wsgi.input"].read(length)))
                except UnknownFault as problem:
                    return "400 Bad Request", {"error": str(problem)}
                return "201 Created", faults.list()
            case "DELETE", "faults":
                faults.clear()
                return "200 OK", []
            case "GET", "calls":
                return "200 OK", list(faults.calls)
            case "DELETE", "calls":
                faults.calls.clear()
                return "200 OK", []
        return "404 Not Found", {"error": f"no admin route {method} /_sandbox/{what}"}


def present_modules() -> list[ModuleType]:
    found = [name for name in MODULES if Path(__file__).with_name(f"{name}.py").exists()]
    return [importlib.import_module(f"infra.sandbox.{name}") for name in found]


def serve(port: int, state: Path) -> None:
    """Serve until SIGTERM or SIGINT, then end every child."""
    state.mkdir(parents=True, exist_ok=True)
    world = World(state.resolve())
    world.end_leftovers()
    snapshots = Snapshots(world.state / "memory.pickle")
    modules = present_modules()
    for module in modules:
        module.install(world)
    snapshots.load()
    world.changed = lambda: keep(world, snapshots)
    server = make_server(HOST, port, application(world), True, request_handler=Quiet)
    world.url = f"http://{HOST}:{server.port}"
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    for module in modules:
        getattr(module, "restore", lambda _: None)(world)
    print(f"sandbox ready {world.url}", flush=True)
    try:
        server.serve_forever()
    finally:
        for module in reversed(modules):
            getattr(module, "shutdown", lambda _: None)(world)
        world.stop_all()
        world.changed()


def keep(world: World, snapshots: Snapshots) -> None:
    """All that changed outside a request's own hooks."""
    files = storage.store(world)
    files.write_buckets()
    files.flush()
    snapshots.save()


def application(world: World) -> Wsgi:
    """From the outside in: admin routes, faults, what makes state durable, moto."""
    moto = DomainDispatcherApplication(create_backend_app)
    durable = Saved(storage.Durable(moto, storage.store(world)), world)
    return Admin(Gate(durable, world.faults, world.stopping), world)


class Quiet(MotoRequestHandler):
    """Thousands of requests a minute need no line each; `/_sandbox/calls` has them."""

    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=4566, help="0: any free port")
    parser.add_argument("--state", type=Path, default=Path(".perennial/sandbox"))
    arguments = parser.parse_args()
    serve(arguments.port, arguments.state)


if __name__ == "__main__":
    main()
