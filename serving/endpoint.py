"""LitServe's server with our routes: it hands texts to the model's processes and waits for them."""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import litserve as ls
from fastapi import FastAPI
from pydantic import ValidationError

from serving import contract, routes
from serving.contract import Answer, Refusal
from serving.envelope import Envelope
from serving.errors import CannotStart
from serving.metrics import Metrics
from serving.pool import Pool
from serving.settings import ServingSettings
from serving.worker import ClassifyAPI
from training.formats import BundleManifest

logger = logging.getLogger(__name__)


class Endpoint(ls.LitServer):  # type: ignore[misc]
    """One model version over HTTP. Not ready until a real prediction came back from the model."""

    def __init__(self, settings: ServingSettings) -> None:
        self.settings = settings
        self.manifest, self.digest = read_manifest(settings.model_path)
        self.metrics = Metrics()
        self.metrics.version(settings.model_version)
        self.pool = Pool(settings, settings.model_path, self.digest)
        self.failure: str | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self._loaded_at = ""
        # The accelerator is the pool's matter; "auto" would import torch here for nothing.
        super().__init__(ClassifyAPI(), accelerator="cpu", timeout=settings.request_timeout_s)
        self.app.title = f"{settings.model_name or self.manifest.classifier} classifier"
        self.app.version = settings.model_version
        self.app.add_middleware(
            Envelope,
            metrics=self.metrics,
            identity=lambda _: (settings.model_version, self.digest),
        )

    def register_endpoints(self) -> None:
        """Our routes in place of LitServe's: its own answer 500 to what is the caller's mistake."""
        routes.add(self)

    @property
    def ready(self) -> bool:
        return self.pool.ready

    @property
    def status(self) -> str:
        if self.failure or self.pool.failure:
            return "failed"
        return "healthy" if self.ready else "starting"

    def refuse_unless_ready(self) -> None:
        if not self.ready:
            raise Refusal(503, self.status, f"The model is {self.status}")

    def info(self) -> contract.ModelInfo:
        weights = self.settings.model_path / "model.safetensors"
        return contract.ModelInfo(
            name=self.settings.model_name or self.manifest.classifier,
            version=self.settings.model_version,
            task=self.manifest.task,
            loaded_at=self._loaded_at,
            engine=self.manifest.engine,
            parameters=contract.ModelParameters(
                total_parameters=self.manifest.total_parameters,
                model_size_mb=round(weights.stat().st_size / 1e6, 1),
            ),
        )

    async def classify(self, texts: list[str]) -> list[Answer]:
        """Answers in the order of the texts, from whichever model process is free."""
        deadline = time.monotonic() + self.settings.request_timeout_s
        done = await self.pool.classify(texts, deadline=deadline, gone=lambda: False)
        return done.answers

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Load the model and become ready, for as long as HTTP is up."""
        starting = asyncio.get_running_loop().create_task(self._start())
        try:
            yield
        finally:
            starting.cancel()
            self.pool.stop()

    async def _start(self) -> None:
        try:
            await self.pool.start()
        except CannotStart as error:
            self.failure = str(error)
            self.on_failure()
            return
        self._loaded_at = contract.now()
        fields = {"model_version": self.settings.model_version, "bundle_digest": self.digest}
        logger.info("ready", extra={"fields": fields})


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
