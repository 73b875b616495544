"""Pools with real model processes that can be made to fail."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from serving import model_process
from serving.backlog import Classified
from serving.contract import Refusal
from serving.model_process import WARM_UP
from serving.pool import Pool
from serving.settings import ServingSettings
from serving.versions import read_manifest

Outcome = Classified | Refusal


@dataclass
class LivePool:
    """A started pool and the event loop that it lives in."""

    pool: Pool
    runner: asyncio.Runner
    beside: Path  # the folder in which the bundle is

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    async def ask(self, text: str, within_s: float = 120, gone: bool = False) -> Outcome:
        """What one request gets."""
        try:
            deadline = time.monotonic() + within_s
            return await self.pool.classify([text], deadline=deadline, gone=lambda: gone)
        except Refusal as refusal:
            return refusal

    async def ask_all(self, texts: Sequence[str], **options: Any) -> list[Outcome]:
        return await asyncio.gather(*(self.ask(text, **options) for text in texts))

    def signal(self, number: signal.Signals) -> None:
        for pid in self.pool.pids:
            os.kill(pid, number)

    async def until_ready(self, within_s: float = 60) -> None:
        """Wait until predictions are answered again."""
        end = time.monotonic() + within_s
        while not self.pool.ready:
            assert time.monotonic() < end, self.pool.failure
            await asyncio.sleep(0.02)

    def computed(self) -> list[str]:
        """Every text that a process has begun to compute, but for its proof."""
        file = self.beside / "computed"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in lines if line != WARM_UP]


@pytest.fixture(scope="module")
def live_pools(
    served: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., list[LivePool]]]:
    """`live_pools({"max_queue": 10}, {})` are two pools with these settings, started at once."""
    runner = asyncio.Runner()
    made: list[LivePool] = []
    patch = pytest.MonkeyPatch()
    patch.setattr(model_process, "MODULE", "plugins.faulty_worker")
    patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))

    async def start(wanted: Sequence[dict[str, Any]]) -> list[LivePool]:
        begun = []
        for options in wanted:
            folder = shutil.copytree(served, tmp_path_factory.mktemp("pool") / "model")
            settings = ServingSettings(model_path=folder, auth="off", **options)
            pool = Pool(settings, folder, read_manifest(folder)[1])
            begun.append(LivePool(pool, runner, folder.parent))
        made.extend(begun)
        await asyncio.gather(*(one.pool.start() for one in begun))
        return begun

    yield lambda *wanted: runner.run(start(wanted))
    for one in made:
        one.run(_stop(one.pool))
    runner.close()
    patch.undo()


async def _stop(pool: Pool) -> None:
    pool.stop()
    await pool.ended()
