"""Versions of a model without model processes, for tests of what is done with them."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from serving.errors import CannotStart
from serving.plan import Plan
from serving.settings import ServingSettings
from serving.versions import Versions

_MANIFEST = (
    '{"classifier": "news", "task": "t", "base_model": "tiny", "labels": ["a"], "max_length": 8,'
    ' "total_parameters": 1, "files": {}, "hyperparameters": {}, "metrics": {},'
    ' "snapshot_sha256": "", "git_sha": "", "job_name": "NAME"}'
)


class StandInPool:
    """The model processes of one bundle; those of a folder called broken do not start."""

    def __init__(self, settings: ServingSettings, folder: Path, digest: str) -> None:
        self.folder = folder
        self.ready = False
        self.failure: str | None = None
        self.said: list[str] = []
        self.on_change: Callable[[], None] = lambda: None

    async def start(self) -> None:
        self.said.append("start")
        await asyncio.sleep(0)
        if self.folder.name.startswith("broken"):
            raise CannotStart(f"{self.folder.name}: truncated or altered")
        self.ready = True

    async def drain(self, seconds: float) -> None:
        self.said.append("drain")
        await asyncio.sleep(0)

    def stop(self) -> None:
        self.said.append("stop")
        self.ready = False


class Rig:
    """Versions, every pool that they ever made, and the bundles' folders."""

    def __init__(self, folder: Path) -> None:
        self.pools: list[StandInPool] = []
        self.settings = ServingSettings(model_cache_dir=folder / "cache")
        self.versions = Versions(self.settings, make_pool=self._make)
        self._folder = folder

    def _make(self, settings: ServingSettings, folder: Path, digest: str) -> StandInPool:
        self.pools.append(StandInPool(settings, folder, digest))
        return self.pools[-1]

    def bundle(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        (folder / "manifest.json").write_text(_MANIFEST.replace("NAME", name))
        return folder

    def plan(self, **weights: float) -> Plan:
        """Versions of these names and weights; the first one is the primary."""
        versions = [
            {"version": name, "path": self.bundle(name), "weight": weight}
            for name, weight in weights.items()
        ]
        return Plan.model_validate({"versions": versions, "primary": next(iter(weights))})

    def apply(self, **weights: float) -> "Rig":
        asyncio.run(self.versions.apply(self.plan(**weights)))
        return self

    def pool(self, name: str) -> StandInPool:
        return next(pool for pool in self.pools if pool.folder.name == name)

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.versions]

    def shares(self, keys: Iterable[str]) -> dict[str, str]:
        """Which version each key falls to."""
        return {key: self.versions.choose(None, key).name for key in keys}
