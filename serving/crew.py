"""The model processes of one bundle, kept at their number: whichever ends is replaced."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from litserve.connector import check_cuda_with_nvidia_smi

from serving.errors import CannotStart
from serving.model_process import ModelProcess, Owner, Spec
from serving.processes import Restarts, cores
from serving.settings import ServingSettings

logger = logging.getLogger(__name__)

_ATTEMPTS = 3


class Crew:
    """Starts the processes, replaces them, and gives up one that cannot start three times running.

    `changed` is called after a process has come, gone or been given up.
    """

    def __init__(
        self,
        settings: ServingSettings,
        folder: Path,
        digest: str,
        owner: Owner,
        changed: Callable[[], None],
    ) -> None:
        self.alive: list[ModelProcess] = []  # those that answer
        self.failure: str | None = None  # why none ever will again
        self.restarts = 0
        self._settings = settings
        self._folder, self._digest = folder, digest
        self._owner = owner
        self._changed = changed
        self._all: set[ModelProcess] = set()
        self._stopped: list[ModelProcess] = []
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def started(self) -> bool:
        return bool(self._keepers)

    @property
    def pids(self) -> list[int]:
        return [one.pid for one in self._all if one.pid]

    async def start(self) -> None:
        """Start all of them; raises CannotStart with the first one's reason."""
        places = range(self._settings.api_workers)
        first = await asyncio.gather(*map(self._spawn, places))
        self._keepers = [
            asyncio.create_task(self._keep(place, process))
            for place, process in zip(places, first, strict=True)
        ]
        self._changed()

    def stop(self) -> None:
        """End all of them at once, for good."""
        for keeper in self._keepers:
            keeper.cancel()
        for process in self._all:
            process.kill()
        self._stopped += [process for process in self._all if process.pid]
        self._all.clear()
        self.alive.clear()

    async def ended(self) -> None:
        """Wait, once stopped, until all of them have ended and their memory is back."""
        await asyncio.gather(*(process.ended() for process in self._stopped))

    def drop(self, process: ModelProcess) -> None:
        """The process has ended; its replacement comes by itself."""
        self._all.discard(process)
        if process in self.alive:
            self.alive.remove(process)

    async def _spawn(self, place: int) -> ModelProcess:
        process = ModelProcess(self._spec(place), self._owner)
        self._all.add(process)
        try:
            await process.start(self._settings.model_start_timeout_s)
        except CannotStart:
            if process.pid:
                await process.ended()
            raise
        finally:
            if not process.serving:
                self._all.discard(process)
        self.alive.append(process)
        return process

    def _spec(self, place: int) -> Spec:
        settings = self._settings
        gpus = check_cuda_with_nvidia_smi()
        return Spec(
            folder=str(self._folder),
            digest=self._digest,
            device=f"cuda:{place % gpus}" if gpus else "cpu",
            threads=max(1, cores() // settings.api_workers),
            log_level=settings.log_level,
        )

    async def _keep(self, place: int, process: ModelProcess) -> None:
        restarts = Restarts()
        while True:
            code = await process.ended()
            reason = f"model process {process.pid} ended with exit code {code}"
            logger.error(reason)
            for _ in range(_ATTEMPTS):
                await asyncio.sleep(restarts.delay())
                try:
                    process = await self._spawn(place)
                    self.restarts += 1
                    break
                except CannotStart as error:
                    reason = str(error)
                    logger.error(reason)
            else:
                self._give_up(reason)
                return
            self._changed()

    def _give_up(self, reason: str) -> None:
        running = [keeper for keeper in self._keepers if not keeper.done()]
        if len(running) == 1:  # the one that gives up: no other is left
            self.failure = reason
        self._changed()
