"""The prediction log of one server: which answers are written down, and who ships them."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from serving.headers import Headers
from serving.processes import Restarts
from serving.spool import Spool
from training.capture import Prediction, ids
from training.redaction import redact

if TYPE_CHECKING:
    from serving.contract import Answer
    from serving.settings import ServingSettings
    from serving.versions import Version

logger = logging.getLogger(__name__)

LOGGED = (b"x-logged", b"true")
_LOOK_S = 1.0
_LAST_S, _SOON_S = 5.0, 0.02
# Our own questions, by a header; where SageMaker is between, by the one header that it passes on.
_PROBE, _ATTRIBUTES = b"x-probe", b"x-amzn-sagemaker-custom-attributes"


class Capture:
    """Writes answers into the spool before they are sent. A failure is counted, never raised."""

    def __init__(self, settings: "ServingSettings") -> None:
        self.classifier = settings.capture_uri.rpartition("/")[2]
        self.spool = Spool(
            spool_folder(settings), settings.capture_max_bytes, settings.capture_seconds
        )
        self.sampled_out = 0
        self.restarts = 0
        self._settings = settings
        self._shipper: subprocess.Popen[bytes] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def log(
        self,
        request_id: str,
        headers: Headers,
        version: "Version",
        texts: Sequence[str],
        answers: "Sequence[Answer]",
        began: float,
    ) -> bool:
        """Whether the answers to these texts are written down; our own probes never are."""
        if _PROBE in headers or headers.get(_ATTRIBUTES, b"").lower().startswith(_PROBE):
            return False
        given = self._settings
        if given.capture_percent < 100 and not sampled(request_id, given.capture_percent):
            self.sampled_out += len(texts)
            return False
        now = time.time_ns() // 10**6
        latency_ms = round((time.monotonic() - began) * 1000, 3)
        lines = [
            orjson.dumps(
                Prediction(
                    request_id=one,
                    timestamp=now,
                    classifier=self.classifier,
                    model_version=version.name,
                    bundle_digest=version.digest,
                    variant=given.variant,
                    text=redact(text, given.capture_text),
                    characters=len(text),
                    label=answer.label,
                    confidence=answer.confidence,
                    probabilities=answer.probabilities,
                    latency_ms=latency_ms,
                    truncated=answer.truncated,
                )
            )
            for one, text, answer in zip(ids(request_id, len(texts)), texts, answers, strict=True)
        ]
        return self.spool.append("prediction", lines)

    def start(self) -> None:
        """Look after the spool and, unless that is another's task, keep a shipper running."""
        self._tasks.append(asyncio.create_task(self._look()))
        if self._settings.capture_shipper == "own":
            self._tasks.append(asyncio.create_task(self._keep()))

    async def close(self) -> None:
        """Ship what there is time for; the rest stays for the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.spool.close()
        if shipper := self._shipper:
            _close_pipe(shipper)  # it hears thereby that this is the last it gets
            end = time.monotonic() + _left()
            while shipper.poll() is None and time.monotonic() < end:
                await asyncio.sleep(_SOON_S)
            shipper.kill()
            shipper.wait()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            self.spool.look()

    async def _keep(self) -> None:
        restarts = Restarts()
        while True:
            await asyncio.sleep(restarts.delay())
            try:
                self._shipper = self._spawn()
            except OSError as error:
                logger.error(f"the shipper of logged answers cannot be started: {error.strerror}")
                continue
            while (code := self._shipper.poll()) is None:
                await asyncio.sleep(_LOOK_S)
            _close_pipe(self._shipper)
            self.restarts += 1
            logger.error(f"the shipper of logged answers ended with exit code {code}")

    def _spawn(self) -> subprocess.Popen[bytes]:
        given = self._settings
        place = (str(self.spool.folder), given.capture_uri)
        return subprocess.Popen(
            [*(sys.executable, "-m", "serving.shipper", str(os.getpid())), *place, given.log_level],
            stdin=subprocess.PIPE,
            process_group=0,  # a SIGTERM to our group is ours to carry out
        )


def capture_of(settings: "ServingSettings") -> Capture | None:
    """The log that the settings ask for; without a place in S3 there is none."""
    return Capture(settings) if settings.capture_uri else None


def spool_folder(settings: "ServingSettings") -> Path:
    """Where the lines for this place in S3 wait; those for another one never mix with them."""
    return settings.capture_dir / settings.capture_uri.removeprefix("s3://").replace("/", "_")


def sampled(request_id: str, percent: float) -> bool:
    """Whether a request is among so many percent; the same one always is or never."""
    return zlib.crc32(request_id.encode()) < percent / 100 * 2**32


def _close_pipe(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    process.stdin.close()


def _left() -> float:
    """Seconds until the server's grace is over and the kernel ends it."""
    left = signal.getitimer(signal.ITIMER_REAL)[0]
    return min(_LAST_S, max(0.1, left - 1)) if left else _LAST_S
