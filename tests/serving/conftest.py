"""Real servers: `python -m serving.app` on a free port, ended with the test that started it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest
from plugins.held_ports import hold_port
from plugins.pools import Rig

START_S = 120  # importing torch takes long on a busy machine


@dataclass
class Server:
    """One endpoint process and what was seen of it."""

    process: "subprocess.Popen[str]"
    url: str
    port: socket.socket  # its own, also before it listens and after it has ended
    seen: list[int] = field(default_factory=list)
    computed: Path | None = None  # a line for each text that a model process began

    def wait_ready(self) -> "Server":
        """Poll /health until 200 and keep each status that was seen on the way."""
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            with suppress(httpx.TransportError):
                self.seen.append(httpx.get(f"{self.url}/health").status_code)
                if self.seen[-1] == 200:
                    return self
            time.sleep(0.1)
        raise AssertionError(f"not ready, exit code {self.process.poll()}, saw {self.seen[-5:]}")

    def family(self) -> list[psutil.Process]:
        main = psutil.Process(self.process.pid)
        return [main, *main.children(recursive=True)]

    def worker(self) -> psutil.Process:
        """The process that holds the model."""
        names = {"serving.worker", "plugins.faulty_worker"}
        return next(p for p in self.family() if names & set(p.cmdline()))

    def end(self) -> None:
        """Nothing of it is left, whatever the test has done to it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        self.port.close()


@pytest.fixture(scope="session")
def start() -> Iterator[Callable[..., Server]]:
    """`start(MODEL_PATH=..., ...)` is a server process that all may call, perhaps not ready yet."""
    started: list[Server] = []

    def run(*arguments: str, module: str = "serving.app", **variables: object) -> Server:
        own = hold_port()
        port = own.getsockname()[1]
        keep = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
        open_to_all = {"AUTH": "off", "RATE_LIMIT_ENABLED": "false"}
        given = {"API_HOST": "127.0.0.1", "API_PORT": port, **open_to_all, **variables}
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=keep | {name: str(value) for name, value in given.items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(Server(process, f"http://{given['API_HOST']}:{given['API_PORT']}", own))
        return started[-1]

    yield run
    for server in started:
        server.end()


@pytest.fixture(scope="session")
def served(tiny_bundle: Callable[..., Path]) -> Path:
    """The bundle that the live server answers with."""
    return tiny_bundle(engine="openvino-int8")


@pytest.fixture(scope="session")
def live(start: Callable[..., Server], served: Path, tmp_path_factory: pytest.TempPathFactory):
    """A ready endpoint that takes 512 characters, for tests that leave it alive."""
    server = start(MODEL_PATH=served, MODEL_VERSION="v1.0.0", MAX_CHARS=512, MAX_BODY_BYTES=65536)
    return server.wait_ready()


@pytest.fixture(scope="session")
def bounded(start: Callable[..., Server], served: Path, tmp_path_factory: pytest.TempPathFactory):
    """A ready endpoint that is impatient, with a short queue; it notes what it computes."""
    folder = tmp_path_factory.mktemp("bounded") / "model"
    server = start(
        module="plugins.counted_app",
        PYTHONPATH=Path(__file__).parents[1],
        MODEL_PATH=shutil.copytree(served, folder),
        HEAD_TIMEOUT_S=2,
        BODY_TIMEOUT_S=2,
        MAX_QUEUE=256,
        CACHE_ENABLED="false",
    )
    server.computed = folder.with_name("computed")
    return server.wait_ready()


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Versions of a model without model processes."""
    return Rig(tmp_path)


@pytest.fixture(scope="module")
def client(live: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live.url, timeout=60) as client:
        yield client
