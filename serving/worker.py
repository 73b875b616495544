"""The process that holds the model; LitServe's hooks, and how it takes requests off the queue."""

import logging
import math
import os
import sys
import time
from contextlib import suppress
from itertools import islice
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any

import litserve as ls
from litserve.loops.base import _SENTINEL_VALUE, _StopLoopError
from litserve.loops.simple_loops import BatchedLoop

from serving import logs, processes
from serving.settings import ServingSettings

if TYPE_CHECKING:
    from training.bundle import Prediction

logger = logging.getLogger(__name__)

WARM_UP = "The team won the match after a long season."


class DrainingLoop(BatchedLoop):  # type: ignore[misc]
    """Waits for one request, then takes what else is waiting.

    LitServe's own loop polls: it delays each lone request by its batch timeout and burns CPU when
    idle. This one does neither; batches form by themselves while the model is busy.
    """

    def get_batch_requests(
        self, lit_api: "ClassifyAPI", request_queue: "Queue[Any]", transport: object
    ) -> tuple[list[Any], list[Any]]:
        waiting = [request_queue.get()]
        with suppress(Empty):
            while len(waiting) < lit_api.max_batch_size:
                waiting.append(request_queue.get_nowait())
        if _SENTINEL_VALUE in waiting:
            raise _StopLoopError
        oldest = time.monotonic() - lit_api.request_timeout
        alive = [(queue, uid, texts) for queue, uid, at, texts in waiting if at >= oldest]
        expired = [(queue, uid) for queue, uid, at, _ in waiting if at < oldest]
        return alive, expired


class ClassifyAPI(ls.LitAPI):  # type: ignore[misc]
    """A request is a list of texts, an answer a list of plain tuples; the rest is HTTP's matter."""

    def __init__(self, settings: ServingSettings, digest: str) -> None:
        super().__init__(max_batch_size=settings.batch_size, loop=DrainingLoop())
        self._settings = settings
        self._digest = digest
        self._parent = os.getpid()

    def setup(self, device: str) -> None:
        """Load the verified bundle and prove it by one prediction, or end with the reason."""
        processes.follow_parent(self._parent)
        logs.configure(self._settings.log_level)
        try:
            self._load(device)
        except Exception as error:
            logger.exception("the model cannot be served")
            reason = " ".join(str(error).split()) or type(error).__name__
            sys.stderr.write(f"serving: cannot start: {reason}\n")
            # LitServe would swallow an Exception and exit 0.
            raise SystemExit(processes.TOLD) from None

    def _load(self, device: str) -> None:
        # OpenMP reads it when torch is imported. Threads that spin while they wait for each other
        # made a prediction 13 times slower on two cores that others used too.
        os.putenv("OMP_WAIT_POLICY", "PASSIVE")
        from training.bundle import BundleError, Classifier  # the HTTP process has no need of it

        threads = max(1, len(os.sched_getaffinity(0)) // self._settings.api_workers)
        self.classifier = Classifier.load(self._settings.model_path, device, threads)
        if (found := self.classifier.manifest.digest) != self._digest:
            raise BundleError(
                f"{self._settings.model_path}: bundle changed while starting:"
                f" {self._digest[:12]} became {found[:12]}"
            )
        (proof,) = self.classifier.predict([WARM_UP])
        if not all(map(math.isfinite, proof.probabilities)):
            raise BundleError(f"{self._settings.model_path}: the model answers NaN or infinity")

    def decode_request(self, request: list[str]) -> list[str]:
        return request

    def predict(self, x: list[list[str]]) -> "list[list[Prediction]]":
        """Answer the texts of all requests as one list, so that like lengths share a batch."""
        predictions = iter(self.classifier.predict([text for texts in x for text in texts]))
        return [list(islice(predictions, len(texts))) for texts in x]

    def encode_response(self, output: "list[Prediction]") -> list[tuple[Any, ...]]:
        # Plain values: a pickled Prediction would make the HTTP process import torch.
        return [(one.label, one.confidence, one.probabilities, one.truncated) for one in output]
