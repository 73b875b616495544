"""What the front process and a model process say to each other, over one Unix socket pair."""

import asyncio
import socket
import struct
from collections.abc import Callable
from queue import Empty
from typing import Any

import msgspec
from litserve.transport.base import MessageTransport

_LENGTH = struct.Struct("<I")


class Work(msgspec.Struct, array_like=True, frozen=True):
    """One batch to answer."""

    batch: int
    texts: list[str]


class Ready(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """The model is loaded and has proved itself."""

    labels: list[str]
    max_length: int  # tokens of one text


class CannotLoad(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """The model is not served; the process ends."""

    reason: str


class Answers(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """One row of float64 probabilities and one flag byte for each text, in their order."""

    batch: int
    probabilities: bytes
    truncated: bytes
    tokenize_s: float
    infer_s: float


class Unanswered(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """The model raised; it lives on."""

    batch: int
    error: str


Said = Ready | CannotLoad | Answers | Unanswered

_encode = msgspec.msgpack.Encoder().encode
_work = msgspec.msgpack.Decoder(Work).decode
_said: Callable[[bytes], Said] = msgspec.msgpack.Decoder(Said).decode


def framed(message: msgspec.Struct) -> bytes:
    """The message as it goes over the socket: its length, then itself."""
    body = _encode(message)
    return _LENGTH.pack(len(body)) + body


class FrontEnd(asyncio.Protocol):
    """The front's end: what the model process says, as it comes, and its end."""

    def __init__(self, hears: Callable[[Said], None], lost: Callable[[], None]) -> None:
        self._hears = hears
        self._lost = lost
        self._unread = bytearray()

    def data_received(self, data: bytes) -> None:
        unread = self._unread
        unread += data
        start = 0
        while len(unread) >= start + _LENGTH.size:
            (length,) = _LENGTH.unpack_from(unread, start)
            end = start + _LENGTH.size + length
            if len(unread) < end:
                break
            self._hears(_said(bytes(unread[start + _LENGTH.size : end])))
            start = end
        del unread[:start]

    def connection_lost(self, error: Exception | None) -> None:
        self._lost()


class ModelEnd(MessageTransport):  # type: ignore[misc]
    """The model process's end: LitServe's transport for answers, and its queue of requests.

    A request is one batch; when the front is gone there is no more to do and the process ends.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, item: msgspec.Struct, consumer_id: int = 0) -> None:
        try:
            self._connection.sendall(framed(item))
        except OSError:  # nobody is left to hear it
            raise SystemExit(0) from None

    async def areceive(self, timeout: int | None = None, consumer_id: int | None = None) -> Any:
        raise Empty  # LitServe's HTTP side reads here; ours is FrontEnd

    def get(self) -> Work:
        """The next batch, as soon as there is one."""
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        return _work(self._read(length))

    def _read(self, size: int) -> bytes:
        data = bytearray(size)
        view, got = memoryview(data), 0
        while got < size:
            try:
                count = self._connection.recv_into(view[got:])
            except OSError:
                count = 0
            if not count:
                raise SystemExit(0)
            got += count
        return bytes(data)
