"""GET /metrics on a port of its own, for a Prometheus that is not to reach the predictions."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import uvicorn
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from serving.errors import CannotStart

KIND = "text/plain; version=0.0.4; charset=utf-8"


@asynccontextmanager
async def listening(text: Callable[[], bytes], host: str, port: int | None) -> AsyncIterator[None]:
    """Answer there for as long as the context is open; nothing without a port."""
    if port is None:
        yield
        return

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        known = (scope["method"], scope["path"]) == ("GET", "/metrics")
        said: Response = PlainTextResponse("only GET /metrics is here", 404)
        await (Response(text(), media_type=KIND) if known else said)(scope, receive, send)

    config = uvicorn.Config(answer, log_config=None, access_log=False, server_header=False)
    config.load()
    state = ServerState()
    try:
        # In the loop that counts: the numbers are not made for several threads.
        server = await asyncio.get_running_loop().create_server(
            lambda: HttpToolsProtocol(config=config, server_state=state, app_state={}),
            host,
            port,
        )
    except OSError as error:
        raise CannotStart(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    try:
        yield
    finally:
        server.close()
        for connection in list(state.connections):
            connection.shutdown()
