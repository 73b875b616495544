"""The servers that `bench.serving` compares: how each starts, is asked, and is ended."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_READY_S = 240
_AWAKE_S = 10
_END_S = 20


class DidNotStart(Exception):
    """A server that cannot be measured; the message says why."""


def _text(text: str) -> str:
    return json.dumps({"text": text})


@dataclass(frozen=True, slots=True)
class Kind:
    """A server before it has a port; `{port}` in command and environment stands for it."""

    name: str
    command: list[str]
    path: str
    label: Callable[[str], str]
    body: Callable[[str], str] = _text
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Server:
    """A started server: its own process group, its output in a file."""

    def __init__(self, kind: Kind, log: Path) -> None:
        self.kind, self._log = kind, log
        self._start()

    def _start(self) -> None:
        self.port = _free_port()
        env = {
            name: value.replace("{port}", str(self.port)) for name, value in self.kind.env.items()
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [part.replace("{port}", str(self.port)) for part in self.kind.command],
                env={**os.environ, **env},
                cwd=self.kind.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def name(self) -> str:
        return self.kind.name

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_ready(self) -> None:
        """Return when a real text has been answered."""
        began = time.monotonic()
        while not self._answers():
            if self._process.poll() is not None:
                raise DidNotStart(
                    f"{self.name} ended with {self._process.returncode}: {self._said}"
                )
            if time.monotonic() > began + _READY_S:
                raise DidNotStart(f"{self.name} did not answer in {_READY_S} s: {self._said}")
            time.sleep(0.2)

    def _answers(self, within_s: float = 30) -> bool:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{self.kind.path}",
            self.kind.body("Is anybody there?").encode(),
            {"Content-Type": "application/json", **self.kind.headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=within_s) as answer:  # nosec B310
                self.kind.label(answer.read().decode())
        except (OSError, urllib.error.URLError):
            return False
        return True

    @property
    def _said(self) -> str:
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def pause(self) -> None:
        """Stop its clock: what merely waits must not take the CPU of what is measured."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on; one that does not survive its rest is started anew, not measured dead."""
        os.killpg(self.pid, signal.SIGCONT)
        if not self._answers(_AWAKE_S):
            self.stop()
            self._start()
            self.wait_ready()

    def stop(self) -> None:
        """End it and all that it started."""
        for number in (signal.SIGCONT, signal.SIGTERM):
            self._signal(number)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # all of its group have ended
            os.killpg(self.pid, number)


def start(kind: Kind, logs: Path) -> Server:
    handle, log = tempfile.mkstemp(dir=logs, prefix=f"{kind.name}-")
    os.close(handle)
    return Server(kind, Path(log))


def ours(name: str, bundle: Path, *, cache: bool) -> Kind:
    """`python -m serving.app` without keys and rate limits: one caller brings all the load."""
    env = {
        "AUTH": "off",
        "RATE_LIMIT_ENABLED": "false",
        "CACHE_ENABLED": str(cache).lower(),
        "MODEL_PATH": str(bundle),
        "MODEL_VERSION": "bench",
        "API_HOST": "127.0.0.1",
        "API_PORT": "{port}",
        "LOG_LEVEL": "WARNING",
    }
    command = [sys.executable, "-m", "serving.app"]
    return Kind(
        name, command, "/predict", lambda said: str(json.loads(said)["prediction"]), env=env
    )


def peers(bundle: Path, venv: Path | None, kept: Path) -> dict[str, Kind]:
    """Every peer by name; infinity needs an environment of its own, which the README explains."""
    most = json.loads((bundle / "manifest.json").read_text("utf-8"))["max_length"]
    found = {
        name: Kind(name, [*_python(module), str(bundle), "{port}", told], "/predict", _label)
        for name, module, told in (
            ("fastapi-hf", "hf_pipeline", str(most)),
            ("litserve", "litserve_example", str(most)),
            ("asgi-padded", "asgi", "padded"),
            ("asgi-grouped", "asgi", "grouped"),
        )
    }
    if venv:
        folder = _infinity_folder(bundle, venv, kept)
        for engine in ("torch", "optimum"):
            found[f"infinity-{engine}"] = _infinity(engine, folder, venv)
    return found


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", f"bench.peers.{module}"]


def _label(said: str) -> str:
    return str(json.loads(said)["label"])


def _infinity(engine: str, folder: Path, venv: Path) -> Kind:
    options = ["--model-id", ".", "--served-model-name", "model", "--engine", engine]
    # Its BetterTransformer is gone from the optimum that reads today's torch; warming up only
    # takes a minute, as each server is warmed before it is measured.
    options += ["--device", "cpu", "--no-bettertransformer", "--no-model-warmup"]
    options += [
        "--no-trust-remote-code",
        "--no-vector-disk-cache",
        "--host",
        "127.0.0.1",
        "--port",
        "{port}",
    ]
    return Kind(
        f"infinity-{engine}",
        [str(venv / "bin" / "infinity_emb"), "v2", *options],
        "/classify",
        lambda said: max(json.loads(said)["data"][0], key=lambda one: one["score"])["label"],
        lambda text: json.dumps({"model": "model", "input": [text]}),
        {
            "HF_HUB_OFFLINE": "1",
            "INFINITY_ANONYMOUS_USAGE_STATS": "0",
            "INFINITY_LOG_LEVEL": "error",
        },
        folder,
    )


def _infinity_folder(bundle: Path, venv: Path, kept: Path) -> Path:
    """The bundle in the form that infinity reads, made once."""
    folder = kept / f"infinity-{(bundle / 'manifest.json').stat().st_mtime_ns}"
    if not folder.is_dir():
        maker = Path(__file__).parent / "peers" / "infinity_folder.py"
        partial = folder.with_suffix(".partial")
        command = [str(venv / "bin" / "python"), str(maker), str(bundle), str(partial)]
        made = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}
        )
        if made.returncode:
            raise SystemExit(f"infinity's folder: {made.stderr.strip().splitlines()[-1]}")
        partial.rename(folder)
    return folder


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])
