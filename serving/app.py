"""`python -m serving.app [serve]`: one model version as an HTTP endpoint.

`python -m serving.app ship` takes to S3 what a server beside it logs (CAPTURE_SHIPPER=apart).
"""

import logging
import signal
import socket
import sys
import time
from types import FrameType

import litserve as ls
import uvicorn

from serving import capture, connections, logs, protocol, settings, shipper, tls
from serving.endpoint import Endpoint
from serving.errors import CannotStart
from serving.settings import BadSettings, ServingSettings

logger = logging.getLogger(__name__)

# A probe or a balancer that looks this late still hears that it has to go elsewhere.
_LINGER_S = 1.0
# The end of the grace: who is still slow has so long, then the model's processes are ended.
_CLOSE_S = 1
_END_S = 2


class HttpServer(uvicorn.Server):
    """uvicorn, with an end that tells everybody, answers who was let in, and comes for certain.

    SIGTERM and SIGINT turn readiness off at once. The listener stays open until nothing is in
    flight, so that whoever comes late is told to go elsewhere and not left with a reset.
    """

    def __init__(self, config: uvicorn.Config, endpoint: Endpoint) -> None:
        super().__init__(config)
        self._endpoint = endpoint
        self._linger = 0.0
        self._latest: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; asking again changes nothing."""
        if self._latest is None:
            grace_s = self._endpoint.settings.grace_s
            now = time.monotonic()
            self._latest = now + grace_s - _CLOSE_S - _END_S
            self._linger = now + (_LINGER_S if self._endpoint.ready else 0)
            self._endpoint.draining = True
            # SIGALRM's default action ends this process, and its children follow it.
            signal.setitimer(signal.ITIMER_REAL, grace_s)

    async def on_tick(self, counter: int) -> bool:
        if self._latest is not None:
            now = time.monotonic()
            done = now >= self._linger and not self.server_state.tasks
            self.should_exit |= done or now >= self._latest
        return await super().on_tick(counter)


def build(given: ServingSettings) -> ls.LitServer:
    """The server, not yet started; raises CannotStart when there is no bundle."""
    return Endpoint(given)


def serve(endpoint: Endpoint) -> None:
    """Answer until SIGTERM, SIGINT or a failure; no process and no port is left behind."""
    given = endpoint.settings
    secured = tls.context_of(given.tls_cert_file, given.tls_key_file)
    http_protocol = protocol.bounded(connections.limits_of(given))
    endpoint.watch(http_protocol.shared)
    config = uvicorn.Config(
        endpoint.asgi,
        http=http_protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # Who calls is the guard's matter: uvicorn believes X-Forwarded-For of every local process.
        proxy_headers=False,
        ssl_context_factory=(lambda *_: secured) if secured else None,
        lifespan="on",
        timeout_graceful_shutdown=_CLOSE_S,
    )
    http = HttpServer(config, endpoint)
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
    # What callers send ahead waits in the kernel: at most so much is read beyond a body's limit.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotStart(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return listener


def main() -> None:
    """Serve what the environment says; the last line on stderr says why it could not."""
    try:
        given = settings.read(sagemaker="serve" in sys.argv[1:])
    except BadSettings as error:
        sys.stderr.write(f"serving: {error}\n")
        sys.exit(2)
    logs.configure(given.log_level)
    if "ship" in sys.argv[1:]:
        _ship(given)
        return
    if given.database_url:
        logger.warning("DATABASE_URL is set, but nothing here is stored in a database: not used")
    try:
        serve(build(given))
    except CannotStart as error:
        sys.stderr.write(f"serving: {error}\n")
        sys.exit(1)


def _ship(given: ServingSettings) -> None:
    if not given.capture_uri:
        sys.stderr.write("serving: CAPTURE_URI is empty: it says where to ship to\n")
        sys.exit(2)
    shipper.ship(capture.spool_folder(given), given.capture_uri)


if __name__ == "__main__":
    main()
