"""`python -m serving.app [serve]`: one model version as an HTTP endpoint."""

import signal
import socket
import sys
from types import FrameType

import litserve as ls
import uvicorn

from serving import logs, settings
from serving.endpoint import Endpoint
from serving.errors import CannotStart
from serving.settings import BadSettings, ServingSettings

_DRAIN_S = 3
_END_S = 10


class HttpServer(uvicorn.Server):
    """uvicorn, with an end that comes even when something hangs."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # SIGALRM's default action ends this process, and its children follow it.
        signal.alarm(_END_S)
        self.should_exit = True


def build(given: ServingSettings) -> ls.LitServer:
    """The server, not yet started; raises CannotStart when there is no bundle."""
    return Endpoint(given)


def serve(endpoint: Endpoint) -> None:
    """Answer until SIGTERM, SIGINT or a failure; no process and no port is left behind."""
    given = endpoint.settings
    config = uvicorn.Config(
        endpoint.app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=_DRAIN_S,
    )
    http = HttpServer(config)
    endpoint.on_failure = lambda: http.handle_exit(signal.SIGTERM, None)
    signal.signal(signal.SIGTERM, http.handle_exit)
    signal.signal(signal.SIGINT, http.handle_exit)
    # LitServe's `run` is not used: it lets SIGTERM orphan its children, does not see them die
    # while starting, binds three host names only and is silent until the model is loaded.
    with _bind(given.api_host, given.port) as listener:
        http.run(sockets=[listener])
    if endpoint.failure:
        raise CannotStart(endpoint.failure)


def _bind(host: str, port: int) -> socket.socket:
    """The address, taken before the model is loaded; nobody can connect until uvicorn listens."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotStart(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return listener


def main() -> None:
    """Serve what the environment says; the last line on stderr says why it could not."""
    try:
        given = settings.read()
    except BadSettings as error:
        sys.stderr.write(f"serving: {error}\n")
        sys.exit(2)
    logs.configure(given.log_level)
    try:
        serve(build(given))
    except CannotStart as error:
        sys.stderr.write(f"serving: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
