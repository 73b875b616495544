"""A server in this process, to be spoken to byte by byte."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from serving import bodies
from serving.connections import Limits
from serving.contract import Refusal
from serving.envelope import Envelope
from serving.metrics import Metrics
from serving.protocol import bounded

LIMITS = Limits(head_s=60, body_s=60, keep_alive_s=60, head_bytes=4096, connections=1000)
LIMIT = 100_000
HOLD_S = 2


LEFT = threading.Event()  # whoever asked for /awaited has gone


async def app(scope, receive, send):
    """Answers with the size of the body; /slow a moment later, /flood with much, /busy not now."""
    if scope["path"] == "/busy":
        raise Refusal(503, "overloaded", "Come later", {"retry-after-ms": str(1000 * HOLD_S)})
    if scope["path"] == "/slow":
        await asyncio.sleep(1.5)
    if scope["path"] == "/awaited":
        while not scope["extensions"]["connection"].is_closing():
            await asyncio.sleep(0.02)
        LEFT.set()
    size = 0
    if scope["method"] == "POST":
        size = len(await bodies.read(receive, dict(scope["headers"]), LIMIT))
    answer = b"x" * 10_000_000 if scope["path"] == "/flood" else b"%d" % size
    headers = [(b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


@contextmanager
def serving(limits: Limits = LIMITS) -> Iterator[Callable[[], socket.socket]]:
    """A server under these limits; the value makes connections to it."""
    protocol = bounded(limits)
    wrapped = Envelope(app, Metrics(), lambda: ("v1", "0" * 64))
    config = uvicorn.Config(
        wrapped, http=protocol, ws="none", lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        made: list[socket.socket] = []

        def connect(sent: bytes = b"") -> socket.socket:
            made.append(socket.create_connection(address, timeout=60))
            made[-1].sendall(sent)
            return made[-1]

        connect.shared = protocol.shared  # type: ignore[attr-defined]
        yield connect
        for one in made:
            one.close()
        server.should_exit = True
        thread.join(10)
