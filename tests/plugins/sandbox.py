"""The fixture `sandbox`: a real sandbox server, and the AWS_* variables that lead to it."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


class Sandbox:
    """One running server; `stop`, `kill` and `start` keep its state folder."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.url = ""
        self.server: subprocess.Popen[str] | None = None

    def start(self, port: int = 0) -> "Sandbox":
        self.state.mkdir(parents=True, exist_ok=True)
        log = (self.state.parent / f"{self.state.name}.log").open("a")
        self.server = subprocess.Popen(
            [
                *(sys.executable, "-m", "infra.sandbox.server"),
                *("--port", str(port), "--state", str(self.state)),
            ],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        log.close()
        assert self.server.stdout
        for line in self.server.stdout:
            if line.startswith("sandbox ready "):
                self.url = line.split()[-1]
                return self
        self._end(signal.SIGKILL)
        last = Path(log.name).read_text()[-2000:]
        raise RuntimeError(f"the sandbox did not start; its log {log.name} ends:\n{last}")

    def stop(self) -> None:
        """SIGTERM, as `make down` does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, as a crash does."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        assert self.server
        assert self.server.stdout
        self.server.send_signal(number)
        self.server.wait(60)
        self.server.stdout.close()

    def fault(self, **spec: Any) -> None:
        self._admin("POST", "faults", spec)

    def faults(self) -> list[dict[str, Any]]:
        return self._admin("GET", "faults")

    def clear_faults(self) -> None:
        self._admin("DELETE", "faults")

    def calls(self, under: str = "") -> list[dict[str, Any]]:
        """What was called, or what of S3 under a `bucket` or `bucket/folder`.

        Shippers and jobs of other tests may still write elsewhere.
        """
        found: list[dict[str, Any]] = self._admin("GET", "calls")
        return [one for one in found if not under or f"{one['path']}/".startswith(f"/{under}/")]

    def clear_calls(self) -> None:
        self._admin("DELETE", "calls")

    def _admin(self, method: str, what: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}/_sandbox/{what}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A server for the whole test session, with the environment that leads there."""
    started = Sandbox(tmp_path_factory.mktemp("sandbox") / "state").start()
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ENDPOINT_URL", started.url)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield started
    started.stop()
