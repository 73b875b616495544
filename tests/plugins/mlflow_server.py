"""The fixture `mlflow_server`: a real MLflow server on a free port, SQLite behind it."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugins.held_ports import hold_port


def _start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    options += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    options += ["--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "mlflow.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *options],
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**os.environ, **quiet},
            start_new_session=True,
        )


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.5)
    raise RuntimeError(f"MLflow did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def mlflow_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps what it holds."""
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture(scope="session")
def mlflow_server(mlflow_folder: Path) -> Iterator[str]:
    """The URL of a server for the whole session; MLFLOW_* variables lead to it, retries are few."""
    folder = mlflow_folder
    held = hold_port()
    port = held.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = _start(folder, port)
    try:
        _wait(server, url, folder / "mlflow.log")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", url)
            patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
            patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
            patch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
            yield url
    finally:
        held.close()
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
