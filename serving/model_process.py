"""One model process as the front sees it: how it starts, what it holds, how it ends."""

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from typing import Protocol

import msgspec

from serving.backlog import Text
from serving.channel import Answers, CannotLoad, FrontEnd, Ready, Said, Unanswered, Work, framed
from serving.errors import CannotStart

logger = logging.getLogger(__name__)

MODULE = "serving.worker"
WARM_UP = "The team won the match after a long season."
_WARM_UP_BATCH = 0


class Spec(msgspec.Struct, frozen=True):
    """What a model process is to be."""

    folder: str
    digest: str
    device: str
    threads: int
    log_level: str


@dataclass(slots=True, eq=False)
class Batch:
    """Texts that one model process computes together."""

    number: int
    texts: list[Text]
    cost: int
    sent: float


class Owner(Protocol):
    """Who is told of what a process says; in the order in which it happened."""

    def answered(self, process: "ModelProcess", batch: Batch, answers: Answers) -> None: ...

    def unanswered(self, process: "ModelProcess", batch: Batch) -> None: ...

    def lost(self, process: "ModelProcess") -> None: ...


class ModelProcess:
    """Computes batches in the order in which it is given them."""

    def __init__(self, spec: Spec, owner: Owner) -> None:
        self.held: deque[Batch] = deque()
        self.labels: tuple[str, ...] = ()
        self.max_length = 0
        self.head_since = 0.0  # since when it can have been computing the first of them
        self.done_at = 0.0  # when it is expected to be done with them
        self._spec = spec
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[Ready] = self._loop.create_future()
        self._proved: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self.serving = False
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: asyncio.WriteTransport | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    async def start(self, within_s: float) -> None:
        """Load the model and see one answer come back, or raise CannotStart with the reason."""
        try:
            async with asyncio.timeout(within_s):
                await self._spawn()
                ready = await self._ready
                self.labels, self.max_length = tuple(ready.labels), ready.max_length
                self._send(Work(_WARM_UP_BATCH, [WARM_UP]))
                await self._proved
                self.serving = True
        except TimeoutError:
            raise CannotStart(f"the model was not loaded within {within_s:g} s") from None
        except OSError as error:  # there is no room for a process now
            raise CannotStart(f"cannot start: {error.strerror or error}") from error
        finally:
            if not self.serving:
                self.kill()

    async def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", MODULE, str(theirs.fileno())]
            spec = msgspec.json.encode(self._spec).decode()
            # The main thread starts it: the kernel ends it with the thread that did.
            self._process = subprocess.Popen(
                [*command, str(os.getpid()), spec],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                process_group=0,  # a SIGTERM to our group is ours to carry out
            )
        self._transport, _ = await self._loop.create_unix_connection(
            lambda: FrontEnd(self._hear, self._lose), sock=ours
        )

    def give(self, batch: Batch) -> None:
        if not self.held:
            self.head_since = batch.sent
        self.held.append(batch)
        self._send(Work(batch.number, [text.text for text in batch.texts]))

    def kill(self) -> None:
        """End it now; its memory is back soon after."""
        if self._process:
            self._process.kill()

    async def ended(self) -> int:
        """Wait until it has ended; its exit code. Only of one that was spawned."""
        return await asyncio.shield(self._ended)

    def _send(self, work: Work) -> None:
        assert self._transport is not None
        self._transport.write(framed(work))

    def _hear(self, said: Said) -> None:
        match said:
            case Answers(batch=0):
                if not self._proved.done():
                    self._proved.set_result(None)
            case Answers():
                batch = self._done(said.batch)
                self._owner.answered(self, batch, said)
            case Unanswered(batch=0):
                self._cannot(f"the model could not answer: {said.error}")
            case Unanswered():
                self._owner.unanswered(self, self._done(said.batch))
            case Ready():
                if not self._ready.done():  # who waited may have been cancelled
                    self._ready.set_result(said)
            case CannotLoad():
                self._cannot(said.reason)

    def _done(self, number: int) -> Batch:
        batch = self.held.popleft()
        if batch.number != number:
            raise RuntimeError(f"model process {self.pid}: answered {number}, not {batch.number}")
        return batch

    def _lose(self) -> None:
        assert self._process is not None
        self._process.kill()  # it may have closed its end and live on
        code = self._loop.run_in_executor(None, self._process.wait)
        code.add_done_callback(lambda done: self._ended.set_result(done.result()))
        if self.serving:
            self._owner.lost(self)
        else:
            self._cannot("the model's process ended while it loaded")

    def _cannot(self, reason: str) -> None:
        for waiting in (self._ready, self._proved):
            if not waiting.done():
                waiting.set_exception(CannotStart(f"cannot start: {reason}"))
                waiting.exception()  # seen: only one of the two is waited for
