"""One production variant of an endpoint: a model's folder and the process that serves it."""

import shutil
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.sandbox import logstreams, objects
from infra.sandbox.world import Process, UnknownImage, World, free_port

_READY_S = 300
_MODEL = "/opt/ml/model"


class NotHealthy(Exception):
    """The variant did not come up; the text is AWS's FailureReason."""


@dataclass(eq=False)
class Server:
    """The serving process of a variant; however many instances it has, here it is one process."""

    world: World
    endpoint: str
    variant: str
    model: str
    container: dict[str, Any]
    folder: Path
    slow_ms: float = 0
    port: int = 0
    ready_s: float = _READY_S
    at_once: int = 0  # requests that a serverless variant takes; 0: as many as come
    process: Process | None = None
    retired: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def prepare(self) -> None:
        """Unpack the model's archive."""
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "model").mkdir(parents=True)
        if not (url := self.container.get("ModelDataUrl")):
            return
        try:
            objects.download(url, self.folder)
        except objects.NoObjects as missing:
            raise NotHealthy(
                f'Failed to download model data for container "container_1" from URL: "{url}".'
                " Please ensure that there is an object located at the URL and that the role"
                " passed to CreateModel has permissions to download the object."
            ) from missing
        archive = self.folder / url.rsplit("/", 1)[-1]
        objects.unpack(archive, self.folder / "model")
        archive.unlink()

    def start(self) -> None:
        """Run the image with `serve`, as SageMaker does."""
        try:
            command, env = self.world.image_command(self.container.get("Image", ""))
        except UnknownImage as unknown:
            raise NotHealthy(str(unknown)) from unknown
        self.port = free_port()  # the last one may be another's by now
        merged = env | {str(k): str(v) for k, v in self.container.get("Environment", {}).items()}
        merged |= {"SAGEMAKER_BIND_TO_PORT": str(self.port), "API_HOST": "127.0.0.1"}
        merged |= {"AWS_REGION": "us-east-1", "CAPTURE_DIR": str(self.folder / "capture")}
        here = {k: v.replace(_MODEL, str(self.folder / "model")) for k, v in merged.items()}
        log = self.folder / "server.log"
        self.process = self.world.spawn(
            f"{self.endpoint}/{self.variant}", [*command, "serve"], here, self.folder, log
        )
        logstreams.follow(
            self.process,
            f"/aws/sagemaker/Endpoints/{self.endpoint}",
            f"{self.variant}/i-{int(time.time() * 1000):016x}",
        )

    def wait_until_ready(self) -> None:
        """Return when /ping answers 200; NotHealthy when the process ends or time is up."""
        assert self.process
        until = time.monotonic() + self.ready_s
        while time.monotonic() < until and self.process.running:
            if self.world.stopping.is_set() or self._pings():
                return
            time.sleep(0.1)
        raise NotHealthy(
            f"The primary container for production variant {self.variant} did not pass the ping"
            " health check. Please check CloudWatch logs for this endpoint. Last lines: "
            + logstreams.tail(self.process.log)
        )

    def retire(self) -> None:
        """Stop serving and forget the folder."""
        with self._lock:
            self.retired = True
        if self.process:
            self.world.stop(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def revive(self) -> None:
        """A container that died is started again, as SageMaker does."""
        with self._lock:
            if self.process and not self.process.running and not self.retired:
                self.start()

    def _pings(self) -> bool:
        try:
            url = f"http://127.0.0.1:{self.port}/ping"
            with urllib.request.urlopen(url, timeout=5) as answer:  # nosec B310
                return bool(answer.status == 200)
        except OSError:
            return False


def describe(variant: dict[str, Any], container: dict[str, Any], moment: Any) -> dict[str, Any]:
    """The entry of DescribeEndpoint for a variant of an endpoint configuration."""
    image, weight = container.get("Image", ""), variant.get("InitialVariantWeight")
    serverless = variant.get("ServerlessConfig")
    count = 0 if serverless else variant.get("InitialInstanceCount", 1)
    deployed = {"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": moment}
    without = {f"{when}ServerlessConfig": serverless for when in ("Current", "Desired")}
    return (without if serverless else {}) | {
        "VariantName": variant["VariantName"],
        "DeployedImages": [deployed],
        "CurrentWeight": 1.0 if weight is None else float(weight),
        "DesiredWeight": 1.0 if weight is None else float(weight),
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
    }
