"""The fixture `warm_jobs`: training jobs of the sandbox are forks of one warm process.

They are what they always are, processes of their own with their own environment, folder and output
that run `training.train`; only its imports are there already.
"""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plugins.once import alone, shared

CHECKOUT = Path(__file__).resolve().parents[2]
IMAGE = CHECKOUT / "infra/docker/training.Dockerfile"
CLIENT = Path(__file__).with_name("warm_client.py")


@pytest.fixture(scope="session")
def warm_jobs(sandbox: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = shared(tmp_path_factory)
    place = folder / "warm.sock"
    with alone(folder, "warm"):
        held = _connected(place) or _started(place)
    command = f'ENTRYPOINT ["python", "-IS", "{CLIENT}", "{place}"]'
    image, replaced = re.subn(r"(?m)^ENTRYPOINT .*train.*$", command, IMAGE.read_text())
    assert replaced == 1
    images = sandbox.state / "images"
    images.mkdir(exist_ok=True)
    (images / "perennial-training.Dockerfile").write_text(image)
    with held:
        yield
    (images / "perennial-training.Dockerfile").unlink()


def _started(place: Path) -> socket.socket:
    place.unlink(missing_ok=True)
    log = place.with_suffix(".log")
    with log.open("ab") as out:
        server = subprocess.Popen(
            [sys.executable, "-u", "-m", "plugins.warm_server", str(place)],
            env=os.environ | {"PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'tests'}"} | ONE_THREAD,
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    deadline = time.monotonic() + 240
    while not (held := _connected(place)):
        assert server.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < deadline, "the warm process did not start"
        time.sleep(0.2)
    server.returncode = 0  # it outlives this session when another still needs it
    return held


def _connected(place: Path) -> socket.socket | None:
    """A connection that keeps the warm process alive."""
    held = socket.socket(socket.AF_UNIX)
    try:
        held.connect(str(place))
    except (FileNotFoundError, ConnectionRefusedError):
        held.close()
        return None
    held.sendall(bytes(4))
    return held


# Models this small only lose time when threads wait for each other.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
