"""LitServe's server with our routes: it hands texts to the model's processes and waits for them."""

import asyncio
import hashlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import litserve as ls
from fastapi import FastAPI
from litserve.connector import check_cuda_with_nvidia_smi
from litserve.server import response_queue_to_buffer
from litserve.utils import LitAPIStatus, ResponseBufferItem, WorkerSetupStatus
from pydantic import ValidationError

from serving import contract, processes, routes
from serving.contract import Answer, Refusal
from serving.envelope import Envelope
from serving.errors import CannotStart
from serving.metrics import Metrics
from serving.settings import ServingSettings
from serving.worker import WARM_UP, ClassifyAPI
from training.formats import BundleManifest

logger = logging.getLogger(__name__)


class Endpoint(ls.LitServer):  # type: ignore[misc]
    """One model version over HTTP. Not ready until a real prediction came back from the model."""

    def __init__(self, settings: ServingSettings) -> None:
        self.settings = settings
        self.manifest, self.digest = read_manifest(settings.model_path)
        self.metrics = Metrics()
        self.metrics.version(settings.model_version)
        self.ready = False
        self.failure: str | None = None
        self.told = False
        self.on_failure: Callable[[], None] = lambda: None
        self.children: list[BaseProcess] = []
        self._loaded_at = ""
        api = ClassifyAPI(settings, self.digest)
        self._path = api.api_path
        super().__init__(
            api,
            # "auto" would import torch here, in the process that has no need of it.
            accelerator="cuda" if check_cuda_with_nvidia_smi() else "cpu",
            workers_per_device=settings.api_workers,
            timeout=settings.request_timeout_s,
        )
        self.app.title = f"{settings.model_name or self.manifest.classifier} classifier"
        self.app.version = settings.model_version
        self.app.response_queue_id = 0
        self.app.add_middleware(
            Envelope,
            metrics=self.metrics,
            identity=lambda _: (settings.model_version, self.digest),
        )

    def register_endpoints(self) -> None:
        """Our routes in place of LitServe's: its own answer 500 to what is the caller's mistake."""
        routes.add(self)

    @property
    def status(self) -> str:
        return "failed" if self.failure else "healthy" if self.ready else "starting"

    def refuse_unless_ready(self) -> None:
        if not self.ready or self.failure:
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
        uid = uuid.uuid4().hex
        waiting = ResponseBufferItem(asyncio.Event())
        self.response_buffer[uid] = waiting
        try:
            self._get_request_queue(self._path).put((0, uid, time.monotonic(), texts))
            async with asyncio.timeout(self.settings.request_timeout_s):
                await waiting.event.wait()
        except TimeoutError:
            message = f"No answer within {self.settings.request_timeout_s:g} seconds"
            raise Refusal(503, "timeout", message) from None
        except (ConnectionError, EOFError):
            raise Refusal(503, "failed", "The model's process is gone") from None
        finally:
            del self.response_buffer[uid]
        self._refuse_if_failed()
        answers, status = waiting.response
        if status != LitAPIStatus.OK:
            raise Refusal(500, "internal_error", "The model could not answer")
        return [Answer(*answer) for answer in answers]

    def fail(self, reason: str) -> None:
        """Answer everybody who waits, refuse everybody who comes, and end the process."""
        if self.failure is None:
            logger.error(reason)
            self.failure = reason
            for waiting in self.response_buffer.values():
                waiting.event.set()
            self.on_failure()

    def _refuse_if_failed(self) -> None:
        if self.failure:
            raise Refusal(503, "failed", "The model's process is gone")

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Pass answers on, watch over the children and become ready, for as long as HTTP is up."""
        loop = asyncio.get_running_loop()
        answers = loop.create_task(
            response_queue_to_buffer(
                self._transport, self.response_buffer, 0, self.litapi_connector
            )
        )
        warm_up = loop.create_task(self._become_ready())
        for child in self.children:
            loop.add_reader(child.sentinel, self._lost, child)
        answers.add_done_callback(self._stopped_answering)
        warm_up.add_done_callback(self._warmed_up)
        try:
            yield
        finally:
            answers.remove_done_callback(self._stopped_answering)
            for child in self.children:
                loop.remove_reader(child.sentinel)
            answers.cancel()
            warm_up.cancel()

    async def _become_ready(self) -> None:
        while not all(s == WorkerSetupStatus.READY for s in self.workers_setup_status.values()):
            await asyncio.sleep(0.05)
        await self.classify([WARM_UP])
        self._loaded_at = contract.now()
        self.ready = True
        fields = {"model_version": self.settings.model_version, "bundle_digest": self.digest}
        logger.info("ready", extra={"fields": fields})

    def _lost(self, child: BaseProcess) -> None:
        asyncio.get_running_loop().remove_reader(child.sentinel)
        child.join()
        self.told = child.exitcode == processes.TOLD
        self.fail(f"{child.name} {child.pid} ended with exit code {child.exitcode}")

    def _stopped_answering(self, _: "asyncio.Task[None]") -> None:
        # LitServe's reader of answers ends at the first message that it does not understand.
        self.fail("answers of the model are no longer read")

    def _warmed_up(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()):
            self.fail(f"warm-up failed: {error!r}")


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
