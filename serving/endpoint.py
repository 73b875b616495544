"""LitServe's server around our routes: what is served, whether, and for how long."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import litserve as ls
from fastapi import FastAPI

from serving import contract, gauges, routes, scrape
from serving.capture import capture_of
from serving.connections import Connections
from serving.contract import Refusal
from serving.envelope import Envelope
from serving.errors import CannotStart
from serving.feedback import Recent
from serving.follow import following
from serving.guard import Guard
from serving.metrics import Metrics, Readings
from serving.settings import ServingSettings
from serving.versions import Versions
from serving.worker import ClassifyAPI

logger = logging.getLogger(__name__)


class Endpoint(ls.LitServer):  # type: ignore[misc]
    """A classifier over HTTP. Not ready until a real prediction came back from the model."""

    def __init__(self, settings: ServingSettings) -> None:
        self.settings = settings
        self.guard = Guard(settings)
        self.metrics = Metrics()
        self.guard.tell(self.metrics)
        if capture := capture_of(settings):
            gauges.add_capture(self.metrics, capture)
        self.capture = capture
        self.recent = Recent()
        self.versions = Versions(settings, self._changed)
        self.following = following(settings, self.versions)
        self.failure: str | None = None
        self.draining = False
        self.on_failure: Callable[[], None] = lambda: None
        # The accelerator is the pool's matter; "auto" would import torch here for nothing.
        super().__init__(ClassifyAPI(), accelerator="cpu", timeout=settings.request_timeout_s)
        self.app.title = f"{settings.model_name or 'text'} classifier"
        self.app.version = settings.model_version
        # Around FastAPI, not among its middleware: its own layers cost as much as all of ours.
        router = routes.Router(self.app, routes.handlers(self))
        self.asgi = Envelope(self.guard.before(router), self.metrics, self._primary)
        self._add_metrics()

    def watch(self, connections: Connections) -> None:
        """Let the metrics tell of everything that this server holds."""
        gauges.add(
            self.metrics,
            lambda: [(one.name, one.manifest, one.pool) for one in self.versions],
            connections,
            self.recent,
        )

    def register_endpoints(self) -> None:
        """Our routes in place of LitServe's: its own answer 500 to what is the caller's mistake."""
        routes.add(self)

    @property
    def ready(self) -> bool:
        return self.status == "healthy"

    @property
    def status(self) -> str:
        if self.draining:
            return "draining"
        if self.failure:
            return "failed"
        return "healthy" if self.versions.ready else "starting"

    @property
    def version(self) -> str:
        """The primary version's name, before it is loaded the one that was asked for."""
        return self._primary()[0]

    def admit(self) -> None:
        """Refuse what comes while the server ends; what was admitted is answered."""
        if self.draining:
            headers = {"Connection": "close", "Retry-After": "1", "retry-after-ms": "1000"}
            raise Refusal(503, "draining", "This server is ending", headers)

    def refuse_unless_ready(self) -> None:
        if not self.ready:
            raise Refusal(503, self.status, f"The model is {self.status}")

    def labels(self) -> list[str]:
        """What any version that answers may say; empty before the first is loaded."""
        return [label for one in self.versions for label in one.manifest.labels]

    def info(self) -> contract.ModelInfo:
        """The primary version."""
        primary = self.versions.primary
        if primary is None:
            raise Refusal(503, self.status, f"The model is {self.status}")
        return contract.ModelInfo(
            name=self.settings.model_name or primary.manifest.classifier,
            version=primary.name,
            task=primary.manifest.task,
            loaded_at=primary.loaded_at,
            engine=primary.manifest.engine,
            parameters=contract.ModelParameters(
                total_parameters=primary.manifest.total_parameters,
                model_size_mb=round(primary.weights_bytes / 1e6, 1),
            ),
        )

    def served(self) -> contract.Served:
        """All versions, and why the newest plan is not what is served, if so."""
        return contract.Served(
            primary=self.version,
            versions=[
                contract.ServedVersion(
                    version=one.name,
                    bundle_digest=one.digest,
                    weight=one.weight,
                    ready=one.pool.ready,
                    loaded_at=one.loaded_at,
                )
                for one in self.versions
            ],
            refused=self.following.refused,
        )

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Load what is to be served and follow it, for as long as HTTP is up."""
        life = asyncio.create_task(self._live())
        if self.capture:
            self.capture.start()
        try:
            yield
        finally:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
            self.versions.stop()
            if self.capture:
                await self.capture.close()

    async def _live(self) -> None:
        try:
            given = self.settings
            port = given.prometheus_port if given.enable_metrics else None
            async with scrape.listening(self.metrics.text, given.api_host, port):
                await self.following.start()
                await self.following.run()
        except CannotStart as error:
            self._fail(str(error))
        except Exception as error:
            logger.exception("what is served is no longer followed")
            self._fail(repr(error))

    def _fail(self, reason: str) -> None:
        """End: nothing is served, and whoever runs this process can start it anew."""
        if self.failure is None and not self.draining:
            logger.error("failed", extra={"fields": {"reason": reason}})
            self.failure = reason
            self.on_failure()

    def _changed(self) -> None:
        for version in self.versions:
            self.metrics.version(version.name)
        if self.versions.failure:
            self._fail(self.versions.failure)

    def _primary(self) -> tuple[str, str]:
        primary = self.versions.primary
        return (primary.name, primary.digest) if primary else (self.settings.model_version, "")

    def _add_metrics(self) -> None:
        def weights() -> Readings:
            return [({"model_version": one.name}, one.weight) for one in self.versions]

        self.metrics.gauge("mlops_model_weight", "Share of the traffic by weight", weights)
        self.metrics.counter(
            "mlops_plan_failures",
            "Looks at the plan that could not be followed: what was served stays",
            lambda: [({}, self.following.failures)],
        )
