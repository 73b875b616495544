"""The loaded versions: which of them answers a request, and how others take their place."""

import asyncio
import hashlib
import logging
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from serving import contract, fetch
from serving.contract import Refusal
from serving.errors import CannotStart
from serving.plan import Plan, PlannedVersion
from serving.pool import Pool
from serving.settings import ServingSettings
from training.formats import BundleManifest

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Version:
    """One bundle, loaded and warm, under the name that callers know."""

    name: str
    manifest: BundleManifest
    digest: str
    folder: Path
    pool: Pool
    loaded_at: str
    weight: float
    weights_bytes: int = 0


class Versions:
    """All versions that answer. They change together, in one step of the event loop."""

    def __init__(
        self,
        settings: ServingSettings,
        on_change: Callable[[], None] = lambda: None,
        make_pool: Callable[[ServingSettings, Path, str], Pool] = Pool,
    ) -> None:
        self._settings = settings
        self._on_change = on_change
        self._make_pool = make_pool
        self._serving: dict[str, Version] = {}
        self._leading = ""
        self._pools: set[Pool] = set()
        self._turn = asyncio.Lock()

    @property
    def primary(self) -> Version | None:
        return self._serving.get(self._leading)

    def __iter__(self) -> Iterator[Version]:
        return iter(self._serving.values())

    @property
    def ready(self) -> bool:
        """Whether a request that names no version is answered."""
        return any(one.pool.ready for one in self._serving.values() if one.weight)

    @property
    def failure(self) -> str | None:
        """Why no request can be answered any more, once that is so."""
        failures = [one.pool.failure for one in self._serving.values() if one.weight]
        return failures[0] if failures and all(failures) else None

    @property
    def lost(self) -> bool:
        """Whether some version's processes could not be brought back."""
        return any(one.pool.failure for one in self._serving.values())

    def choose(self, wanted: str | None, key: str | None) -> Version:
        """The version for one request: the one it names, else by its key, else by weight.

        One key stays with one version for as long as that is there; when the weights change, only
        as many keys move as must.
        """
        if wanted is not None:
            return self._named(wanted)
        open_to_all = [one for one in self._serving.values() if one.weight]
        able = [one for one in open_to_all if one.pool.ready] or open_to_all
        if not able:
            raise Refusal(503, "starting", "The model is starting")
        if len(able) == 1:
            return able[0]
        if key is None:
            return random.choices(able, [one.weight for one in able])[0]  # nosec B311
        return min(able, key=lambda one: _distance(key, one))

    def _named(self, wanted: str) -> Version:
        if not self._serving:
            raise Refusal(503, "starting", "The model is starting")
        if found := self._serving.get(wanted):
            return found
        there = ", ".join(self._serving)
        raise Refusal(
            404, "model_version_not_found", f"This endpoint serves model version {there} only"
        )

    async def apply(self, plan: Plan) -> None:
        """Serve what the plan says and only that; raises CannotStart and changes nothing.

        New versions are loaded and warmed beside those that answer, then all change at once; the
        old answer what they have, and their memory is given back.
        """
        async with self._turn:
            wanted: dict[str, Version] = {}
            try:
                for planned in plan.versions:
                    wanted[planned.version] = await self._loaded(planned)
            except BaseException:
                self._stop_all_but(self._serving.values())
                raise
            kept = {one.pool for one in wanted.values()}
            old = [one for one in self._serving.values() if one.pool not in kept]
            self._serving, self._leading = wanted, plan.leading
            self._on_change()
            self._tell(old)
            try:
                seconds = self._settings.request_timeout_s
                await asyncio.gather(*(one.pool.drain(seconds) for one in old))
            finally:
                self._stop_all_but(wanted.values())

    def stop(self) -> None:
        """End every model process; nobody waits for an answer any more."""
        self._stop_all_but(())

    async def _loaded(self, planned: PlannedVersion) -> Version:
        """The version if it is there as planned, else loaded anew, warm."""
        cache = self._settings.model_cache_dir
        folder = await fetch.folder_of(planned, cache)
        manifest, digest = read_manifest(folder)
        known = self._serving.get(planned.version)
        if known and known.digest == digest and known.folder == folder and not known.pool.failure:
            return replace(known, weight=planned.weight)
        try:
            if planned.digest and digest != planned.digest:
                raise CannotStart(f"{folder}: its digest is {digest}, not as planned")
            pool = await self._warm(folder, digest)
        except CannotStart:
            fetch.discard(planned, cache)
            raise
        return Version(
            name=planned.version,
            manifest=manifest,
            digest=digest,
            folder=folder,
            pool=pool,
            loaded_at=contract.now(),
            weight=planned.weight,
            weights_bytes=_size(folder / "model.safetensors"),
        )

    async def _warm(self, folder: Path, digest: str) -> Pool:
        pool = self._make_pool(self._settings, folder, digest)
        self._pools.add(pool)
        pool.on_change = self._on_change
        await pool.start()
        return pool

    def _stop_all_but(self, kept: Iterable[Version]) -> None:
        living = {one.pool for one in kept}
        for pool in self._pools - living:
            pool.stop()
        self._pools &= living

    def _tell(self, old: Sequence[Version]) -> None:
        fields = {
            "primary": self._leading,
            "versions": {one.name: {"digest": one.digest, "weight": one.weight} for one in self},
            "left": [one.name for one in old],
        }
        logger.info("ready", extra={"fields": fields})


def _distance(key: str, version: Version) -> float:
    """Weighted rendezvous hashing: the nearest version is picked, in proportion to the weights."""
    data = f"{version.name}\0{key}".encode("utf-8", "surrogatepass")
    number = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
    return -math.log((number + 1) / 2**64) / version.weight


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def read_manifest(folder: Path) -> tuple[BundleManifest, str]:
    """The manifest of the bundle and its digest; the model's process verifies the files."""
    file = folder / "manifest.json"
    try:
        content = file.read_bytes()
        return BundleManifest.model_validate_json(content), hashlib.sha256(content).hexdigest()
    except OSError as error:
        raise CannotStart(f"{file}: {error.strerror}") from error
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise CannotStart(f"{file}: not a manifest: {where} {problem['msg']}") from error
