"""One HTTP request and its answer, on a connection of serving.protocol."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from serving.contract import Refusal


class Exchange(RequestResponseCycle):
    """uvicorn's, where a body may be given up and most of an answer's head is ready-made."""

    refusal: Refusal | None = None  # why no more of the body will come
    hold_s = 0.0  # how long the caller was told to stay away

    async def receive(self) -> Any:
        """The next part of the body; raises Refusal when it comes too slowly or is no HTTP."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not (self.disconnected or self.response_complete or self.refusal):
            # Not when the body is here: what follows are requests that have to wait.
            if self.more_body:
                self.flow.resume_reading()
            await self.message_event.wait()
            self.message_event.clear()
        if self.refusal:
            raise self.refusal
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        part, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": part, "more_body": self.more_body}

    async def send(self, message: Any) -> None:
        """Like uvicorn's; takes ready-made what all answers share, as `fixed`, and a whole `body`.

        Such an answer leaves in one write, which costs as much as all our layers together.
        """
        if self.response_started or message["type"] != "http.response.start":
            await super().send(message)
            return
        if self.more_body:  # it is not read to its end, so no request can follow
            self.keep_alive = False
        if "fixed" not in message:
            await super().send(message)
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        head = self._head(message["status"], message["headers"], message["fixed"])
        self.response_started = True
        self.waiting_for_100_continue = False
        if "body" not in message:
            self.transport.write(head)
            return
        self.transport.write(head if self.scope["method"] == "HEAD" else head + message["body"])
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _head(self, status: int, headers: list[tuple[bytes, bytes]], fixed: bytes) -> bytes:
        content = [STATUS_LINE[status]]
        for name, value in (*self.default_headers, *headers):
            if name == b"content-length":
                self.expected_content_length = int(value)
                self.chunked_encoding = False
            elif name == b"retry-after-ms":
                self.hold_s = int(value) / 1000
            elif name == b"transfer-encoding":
                self.chunked_encoding = True
            elif name == b"connection":
                self.keep_alive = self.keep_alive and value != b"close"
                continue
            content.append(b"%b: %b\r\n" % (name, value))
        if not self.keep_alive:
            content.append(b"connection: close\r\n")
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status != 204:
            self.chunked_encoding = True
            content.append(b"transfer-encoding: chunked\r\n")
        lines = len(content)
        head = b"".join(content)
        if not head.count(b"\n") == head.count(b"\r") == lines:
            raise RuntimeError("a line break within a header")
        return head + fixed + b"\r\n"
