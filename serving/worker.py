"""The process that holds the model: LitServe's hooks, and the loop that runs them batch by batch.

Started by serving.model_process as `python -m serving.worker <socket> <parent> <spec>`.
"""

import logging
import math
import os
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING, Any

import litserve as ls
import msgspec
from litserve.callbacks import CallbackRunner
from litserve.loops.base import LitLoop
from litserve.loops.loops import inference_worker

from serving import logs, processes
from serving.channel import Answers, CannotLoad, ModelEnd, Ready, Said, Unanswered, Work
from serving.model_process import WARM_UP, Spec

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from training.tokens import Encoded

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Batch:
    """One batch on its way through the hooks."""

    number: int
    encoded: "list[Encoded]"
    tokenize_s: float


@dataclass(slots=True)
class Begun:
    """A batch that the model is at."""

    batch: Batch
    probabilities: "Callable[[], NDArray[np.float64]]"
    since: float


class BatchLoop(LitLoop):  # type: ignore[misc]
    """Waits for a batch, begins it, and says its answers in one message when it is done.

    The front forms the batches, so LitServe's own loops, which poll a queue and send one message
    for each request, have nothing to do here. The next batch begins while the one before it ends:
    cores that wait for the last rows of a batch were a tenth of the time at concurrency 32.
    """

    def __init__(self) -> None:
        super().__init__()
        self._at_work: Queue[tuple[ClassifyAPI, ModelEnd, Work, Begun | Exception]] = Queue()

    def __call__(self, *given: Any) -> None:
        Thread(target=self._end_all, daemon=True).start()
        super().__call__(*given)

    def run(
        self,
        lit_api: "ClassifyAPI",
        device: str,
        worker_id: int,
        request_queue: ModelEnd,
        transport: ModelEnd,
        workers_setup_status: dict[str, str],
        callback_runner: CallbackRunner,
    ) -> None:
        work = request_queue.get()
        begun: Begun | Exception
        try:
            begun = lit_api.predict(lit_api.decode_request(work))
        except Exception as error:
            begun = error
        if len(work.texts) == 1 and not self._at_work.unfinished_tasks:
            self._end(lit_api, transport, work, begun)  # sooner than another thread would
        else:
            self._at_work.put((lit_api, transport, work, begun))

    def _end_all(self) -> None:
        while True:
            self._end(*self._at_work.get())
            self._at_work.task_done()

    def _end(
        self, lit_api: "ClassifyAPI", transport: ModelEnd, work: Work, begun: Begun | Exception
    ) -> None:
        said: Said
        try:
            if isinstance(begun, Exception):
                raise begun
            said = lit_api.encode_response(begun)
        except Exception as error:
            # Its stack is logged and not its message, which may quote a user's text.
            logger.exception("a batch could not be answered")
            said = Unanswered(work.batch, type(error).__name__)
        transport.send(said, consumer_id=0)


class ClassifyAPI(ls.LitAPI):  # type: ignore[misc]
    """A request is a batch of texts, an answer their probabilities; HTTP is the front's matter."""

    def __init__(self, spec: Spec | None = None, front: ModelEnd | None = None) -> None:
        super().__init__(loop=BatchLoop())
        self._given = spec
        self._front = front

    def setup(self, device: str) -> None:
        """Load the verified bundle and prove it by one prediction, or end with the reason."""
        if not (self._given and self._front):
            raise SystemExit(1)  # the front's own object is never set up
        try:
            self.load(device, self._given)
        except Exception as error:
            logger.exception("the model cannot be served")
            self._front.send(CannotLoad(" ".join(str(error).split()) or type(error).__name__))
            # LitServe would swallow an Exception and exit 0.
            raise SystemExit(1) from None
        manifest = self.classifier.manifest
        self._front.send(Ready(list(manifest.labels), manifest.max_length))

    def load(self, device: str, spec: Spec) -> None:
        # OpenMP reads it when torch is imported. Threads that spin while they wait for each other
        # made a prediction 13 times slower on two cores that others used too.
        os.putenv("OMP_WAIT_POLICY", "PASSIVE")
        from training.bundle import BundleError, Classifier  # the front has no need of it

        folder = spec.folder
        self.classifier = Classifier.load(Path(folder), device, spec.threads)
        if (found := self.classifier.manifest.digest) != spec.digest:
            raise BundleError(
                f"{folder}: bundle changed while starting: {spec.digest[:12]} became {found[:12]}"
            )
        (proof,) = self.classifier.predict([WARM_UP])
        if not all(map(math.isfinite, proof.probabilities)):
            raise BundleError(f"{folder}: the model answers NaN or infinity")

    def decode_request(self, request: Work) -> Batch:
        began = time.perf_counter()
        encoded = self.classifier.encode(request.texts)
        return Batch(request.batch, encoded, time.perf_counter() - began)

    def predict(self, x: Batch) -> Begun:
        since = time.perf_counter()
        return Begun(x, self.classifier.begin(x.encoded), since)

    def encode_response(self, output: Begun) -> Answers:
        probabilities = output.probabilities()
        return Answers(
            output.batch.number,
            probabilities.tobytes(),
            bytes(one.truncated for one in output.batch.encoded),
            output.batch.tokenize_s,
            time.perf_counter() - output.since,
        )


def main(descriptor: str, parent: str, given: str) -> None:
    """Answer batches until the front is gone."""
    processes.follow_parent(int(parent))
    spec: Any = msgspec.json.decode(given, type=Spec)
    logs.configure(spec.log_level)
    front = ModelEnd(socket.socket(fileno=int(descriptor)))
    api = ClassifyAPI(spec, front)
    inference_worker(api, spec.device, 0, front, front, {}, CallbackRunner(), False)


if __name__ == "__main__":
    main(*sys.argv[1:])
