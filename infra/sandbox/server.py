"""AWS on a laptop: `python -m infra.sandbox.server --port N --state DIR`."""

import argparse
import importlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from infra.sandbox.world import World

HOST = "127.0.0.1"
MODULES = (
    "storage",
    "jobs",
    "endpoints",
    "packages",
    "instances",
    "balancers",
    "alarms",
    "stacks",
)
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Admin:
    """The routes below /_sandbox; everything else goes to AWS."""

    def __init__(self, aws: Wsgi, world: World) -> None:
        self.aws = aws
        self.world = world

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if not path.startswith("/_sandbox/"):
            return self.aws(environ, start)
        status, answer = self.answer(environ["REQUEST_METHOD"], path.rsplit("/", 1)[-1], environ)
        body = json.dumps(answer).encode()
        start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def answer(self, method: str, what: str, environ: dict[str, Any]) -> tuple[str, Any]:
        faults = self.world.faults
        match method, what:
            case "GET", "health":
                return "200 OK", {"status": "ok", "url": self.world.url, "pid": os.getpid()}
            case "GET", "faults":
                return "200 OK", faults.list()
            case "POST", "faults":
                length = int(environ.get("CONTENT_LENGTH") or 0)
                faults.add(json.loads(environ["wsgi.input"].read(length)))
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
    modules = present_modules()
    for module in modules:
        module.install(world)
    aws = DomainDispatcherApplication(create_backend_app)
    server = make_server(
        HOST, port, Admin(aws, world), threaded=True, request_handler=MotoRequestHandler
    )
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=4566, help="0: any free port")
    parser.add_argument("--state", type=Path, default=Path(".perennial/sandbox"))
    arguments = parser.parse_args()
    serve(arguments.port, arguments.state)


if __name__ == "__main__":
    main()
