"""HTTP/1.1 on one connection: uvicorn's, with an end to what a caller can take of the server."""

import asyncio
import re
import uuid
from typing import ClassVar
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.connections import Connections, Limits, Phase
from serving.contract import Refusal
from serving.envelope import error_body
from serving.exchange import Exchange

_PIPELINED = 16  # requests that may wait for the one before them
_HEADERS = 100
_MOST_HOLD_S = 5.0
_LATE_S = 0.05
_UPGRADE = re.compile(rb"\r\nupgrade(?=[ \t]*:)", re.IGNORECASE)


class BoundedProtocol(HttpToolsProtocol):
    """One connection: bounded in time in each phase, in the size of heads, and in pipelining."""

    shared: ClassVar[Connections]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._reading: Phase | None = Phase.HEAD  # which part of a request is not yet here
        self._waits: Phase | None = Phase.HEAD
        self._head_bytes = 0
        self._deaf = False
        self._extensions = {"connection": transport, "whole_answers": True}
        self.shared.opened(self, self.loop)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        self.pipeline.clear()
        self.shared.lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf or self.transport.is_closing():
            return
        limit = self.shared.limits.head_bytes
        if self._reading is not Phase.BODY:
            self._head_bytes += len(data)
            # All of it is head, or the head's end lies too deep in this one piece.
            if len(data) > limit and data.find(b"\r\n\r\n", 0, limit) < 0:
                self._reject(431, "headers_too_large", f"The headers exceed {limit} bytes")
                return
            if b"pgrade" in data:
                data = _without_upgrade(data)
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._deaf:
                self._reject(400, "bad_request", "This is not HTTP/1.1")
            return
        if self._reading is Phase.HEAD and self._head_bytes > limit:
            self._reject(431, "headers_too_large", f"The headers exceed {limit} bytes")
        elif self._waits is not Phase.SEND and (self._reading or self._answering):
            self._wait(self._reading)

    def on_message_begin(self) -> None:
        if self._deaf:
            raise ValueError("nothing more is taken from this connection")
        super().on_message_begin()
        self._reading = Phase.HEAD
        self.scope["extensions"] = self._extensions  # type: ignore[typeddict-item]

    def on_headers_complete(self) -> None:
        parser, scope = self.parser, self.scope
        self._reading = Phase.BODY
        self._head_bytes = 0
        if len(self.headers) > _HEADERS:
            self._reject(431, "headers_too_large", f"There are more than {_HEADERS} headers")
            raise ValueError("too many headers")
        version = parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise ValueError("another HTTP")
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["http_version"] = version
        scope["method"] = parser.get_method().decode("ascii")
        scope["path"] = self.root_path + (unquote(path) if "%" in path else path)
        scope["raw_path"] = self.root_path.encode() + url.path
        scope["query_string"] = url.query or b""
        before = self.cycle
        self.cycle = Exchange(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
            return
        self.flow.pause_reading()
        self.pipeline.appendleft((self.cycle, self.app))
        if len(self.pipeline) == _PIPELINED:
            # RFC 9112, 9.3.2: who is told `close` sends what was not answered again.
            self.cycle.keep_alive = False
            self._deaf = True

    def on_body(self, body: bytes) -> None:
        if not self.cycle.response_complete:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._reading = None
        self.cycle.more_body = False
        self.cycle.message_event.set()
        if not self.pipeline:
            self.flow.resume_reading()  # so that it is seen when the caller leaves

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._wait(Phase.CLOSE)
        elif self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            hold_s = min(_MOST_HOLD_S, self.cycle.hold_s)  # type: ignore[attr-defined]
            if hold_s and self.shared.late_s > _LATE_S:
                # Retries take the time that answers need: who comes back sooner than told is not
                # read any sooner. Otherwise he is, for others may share his connection.
                self.flow.pause_reading()
                self.loop.call_later(hold_s, self._read_on)
            else:
                self.flow.resume_reading()
            self._wait(Phase.SEND if self.flow.write_paused else self._reading or Phase.IDLE)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait(Phase.SEND)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._waits is Phase.SEND:
            self._wait(self._reading or (None if self._answering else Phase.IDLE))

    def overdue(self, phase: Phase) -> bool:
        """End this connection, which waits too long or stands in the way; false if it must stay."""
        self._waits = None
        if phase in (Phase.SEND, Phase.CLOSE):
            self.transport.abort()
        elif phase is Phase.BODY and self._answering:
            self._end_body(Refusal(408, "request_timeout", "The body did not arrive in time"))
        elif self._answering:
            self.cycle.keep_alive = False
            return False
        elif phase is Phase.HEAD and self._head_bytes:
            self._refuse(408, "request_timeout", "The headers did not arrive in time")
        else:
            self._close()
        return True

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self, phase: Phase | None) -> None:
        """Stand in another line; who is in it already keeps the place."""
        if phase is self._waits:
            return
        if self._waits:
            self.shared.leave(self._waits, self)
        self._waits = phase
        if phase:
            self.shared.enter(phase, self, self.loop.time())

    def _reject(self, status: int, error: str, message: str) -> None:
        self.shared.closed[error] += 1
        self._refuse(status, error, message)

    def _refuse(self, status: int, error: str, message: str) -> None:
        """Answer what is no request, after the answers that are still owed."""
        self._deaf = True
        if self._answering:
            self.cycle.keep_alive = False
            if self.cycle.more_body:
                self._end_body(Refusal(status, error, message))
            return
        body = error_body(error, message, request_id := uuid.uuid4().hex)
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
            + b"x-request-id: %b\r\nconnection: close\r\n\r\n%b" % (request_id.encode(), body)
        )
        self._close()

    def _end_body(self, refusal: Refusal) -> None:
        self.cycle.refusal = refusal  # type: ignore[attr-defined]
        self.cycle.message_event.set()

    def _close(self) -> None:
        self.transport.close()
        self._wait(Phase.CLOSE)


def _without_upgrade(data: bytes) -> bytes:
    """The request as one that asks for no other protocol: the parser would drop its body.

    Java's HttpClient offers HTTP/2 so in its first request; a server may ignore it (RFC 9110, 7.8).
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nx-upgrade", head) + end + rest


def bounded(limits: Limits) -> type[BoundedProtocol]:
    """The protocol of one server; `.shared` counts its connections."""
    return type("Protocol", (BoundedProtocol,), {"shared": Connections(limits)})
