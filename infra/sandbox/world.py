"""
The one object that the sandbox's modules share: folder, address, processes, small documents.

How state survives. After every mutating API call, and whenever a module calls `world.changed()`
(a thread that changed moto's objects outside a request), all of moto's backends of every service
are pickled atomically into the state folder; they are there again before `restore(world)` runs
(`snapshots.py`). S3 objects are files (`storage.py`), and so is what in-process writers put
there, once they call `world.changed()`. So a module keeps what must survive as plain
attributes of moto's own objects, or in `world.save`, and nothing else; it keeps threads, locks,
sockets and processes out of moto's objects and starts them again in `restore`.
A handler must not call the sandbox over HTTP while it holds a lock that another handler needs.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from infra.sandbox.faults import Faults

CHECKOUT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"
ACCOUNT = "123456789012"
MARK = "PERENNIAL_SANDBOX"
IMAGES = {"-training": "training.Dockerfile", "-serving": "serving.Dockerfile"}
_INSTRUCTION = re.compile(r"^(ENV|ENTRYPOINT)\s+(.+)$")
_ASSIGNMENT = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)=("[^"]*"|\S+)')


class UnknownImage(Exception):
    """The image's repository is none that this checkout can stand in for."""


@dataclass(eq=False)
class Process:
    """One child with its own session; `popen` is the leader of the group.

    Its own words in the log begin at the byte `log_from`.
    """

    name: str
    popen: "subprocess.Popen[bytes]"
    log: Path
    log_from: int

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def wait(self, timeout_s: float | None = None) -> int:
        return self.popen.wait(timeout_s)


@dataclass(eq=False)
class World:
    """What one server is made of."""

    state: Path
    url: str = ""
    faults: Faults = field(default_factory=Faults)
    changed: Callable[[], None] = lambda: None
    stopping: threading.Event = field(default_factory=threading.Event)
    _processes: list[Process] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def spawn(
        self, name: str, command: list[str], env: dict[str, str], cwd: Path, log: Path
    ) -> Process:
        """Start a marked child in its own session; `env` goes over `child_environment`."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, log.open("ab") as out:
            if self.stopping.is_set():
                raise RuntimeError(f"{name}: the sandbox is stopping")
            log_from = out.tell()
            popen = subprocess.Popen(
                command,
                env={**self.child_environment(), **env, MARK: str(self.state)},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            process = Process(name, popen, log, log_from)
            self._processes = [p for p in self._processes if p.running]
            self._processes.append(process)
        return process

    def child_environment(self) -> dict[str, str]:
        """What every container sees: this checkout's code and this sandbox as its AWS."""
        dropped = ("AWS_", "SAGEMAKER_", "SM_", "API_", "MODEL_", "PYTEST_", "PERENNIAL_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        return kept | {
            "PATH": f"{Path(sys.executable).parent}:{kept.get('PATH', '/usr/bin:/bin')}",
            "PYTHONPATH": str(CHECKOUT),
            "PYTHONUNBUFFERED": "1",
            # Containers share a laptop's cores: a thread that spins for another keeps it waiting.
            "OMP_WAIT_POLICY": "PASSIVE",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def stop(self, process: Process, grace_s: float = 5) -> None:
        """End the whole tree: SIGTERM to the group, after the grace SIGKILL to all that is left."""
        # The number of a process that has ended may be a stranger's by now.
        if process.running or any(self._is_ours(one) for one in _group(process.pid)):
            self._end_tree(process, grace_s)
        with self._lock:
            self._processes = [p for p in self._processes if p is not process]

    def _end_tree(self, process: Process, grace_s: float) -> None:
        try:
            leader = psutil.Process(process.pid)
            tree = [leader, *leader.children(recursive=True)]
        except psutil.NoSuchProcess:
            tree = []
        _signal_group(process.pid, signal.SIGTERM)
        _, alive = psutil.wait_procs(tree, timeout=grace_s)
        alive += _group(process.pid)
        for left in alive:
            with _gone_is_fine():
                left.kill()
        _signal_group(process.pid, signal.SIGKILL)
        process.popen.wait()
        psutil.wait_procs(alive, timeout=5)

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        except OSError:
            return False
        return f"{MARK}={self.state}".encode() in environment.split(b"\0")

    def stop_all(self, grace_s: float = 5) -> None:
        """End every child at the same time."""
        self.stopping.set()
        with self._lock:
            left = list(self._processes)
        threads = [threading.Thread(target=self.stop, args=(p, grace_s)) for p in left]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def end_leftovers(self) -> int:
        """End what an earlier, killed sandbox of the same state folder left running."""
        left = [
            process
            for process in psutil.process_iter()
            if self._is_ours(process) and process.pid != os.getpid()
        ]
        for process in left:
            with _gone_is_fine():
                process.kill()
        psutil.wait_procs(left, timeout=10)
        return len(left)

    def image_command(self, image: str) -> tuple[list[str], dict[str, str]]:
        """ENTRYPOINT and ENV of the image's Dockerfile, or UnknownImage with what is allowed.

        `STATE/images/{repository}.Dockerfile` is an image of its own; besides those, repositories
        that end in -training and -serving are this checkout.
        """
        repository = image.rsplit("/", 1)[-1].split("@")[0].split(":")[0]
        own = self.state / "images" / f"{repository}.Dockerfile"
        ours = [
            CHECKOUT / "infra/docker" / f for end, f in IMAGES.items() if repository.endswith(end)
        ]
        for dockerfile in (own, *ours):
            if dockerfile.exists():
                command, env = read_dockerfile(dockerfile)
                return interpreter(command), env
        raise UnknownImage(
            f"image {image}: the repository {repository!r} does not exist;"
            f" here a repository's name must end in {' or '.join(IMAGES)}"
        )

    def folder(self, *parts: str) -> Path:
        """A folder below the state folder, made when missing."""
        path = self.state.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def save(self, key: str, value: Any) -> None:
        """Keep a small JSON document under a name; atomic."""
        write_atomically(self.folder("documents") / f"{key}.json", json.dumps(value).encode())

    def load(self, key: str) -> Any:
        """The document, None when there is none."""
        path = self.state / "documents" / f"{key}.json"
        return json.loads(path.read_bytes()) if path.exists() else None


def interpreter(command: list[str]) -> list[str]:
    """`python` in an image is the interpreter that runs the sandbox."""
    if command and command[0] in ("python", "python3"):
        return [sys.executable, *command[1:]]
    return command


def read_dockerfile(path: Path) -> tuple[list[str], dict[str, str]]:
    """The exec-form ENTRYPOINT and the ENV assignments of the last stage."""
    command: list[str] = []
    env: dict[str, str] = {}
    text = path.read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line.startswith("FROM "):
            command, env = [], {}
        if not (found := _INSTRUCTION.match(line)):
            continue
        if found[1] == "ENTRYPOINT":
            command = json.loads(found[2])
        else:
            env |= {name: value.strip('"') for name, value in _ASSIGNMENT.findall(found[2])}
    return command, env


def write_atomically(path: Path, content: bytes) -> None:
    """The whole content or the old one, also after a SIGKILL."""
    temporary = path.with_name(f".{path.name}.{threading.get_ident()}")
    temporary.write_bytes(content)
    temporary.replace(path)


def tell(problem: str) -> None:
    """To the server's log: stdout is a pipe that nobody reads on, and full it stops the writer."""
    print(f"sandbox: {problem}", file=sys.stderr, flush=True)


def free_port(host: str = "127.0.0.1") -> int:
    """A port that for a minute nobody is given who asks for any, only who asks for it by number.

    What a connection leaves behind (TIME_WAIT) keeps it; a server takes it with SO_REUSEADDR.
    """
    with socket.create_server((host, 0)) as server:
        port = int(server.getsockname()[1])
        with socket.create_connection((host, port)) as caller:
            server.accept()[0].close()  # who closes first is the one that is left behind
            caller.recv(1)
        return port


class _gone_is_fine:  # noqa: N801
    """A process that ended by itself meanwhile needs no signal."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, psutil.NoSuchProcess | ProcessLookupError)


def _group(leader: int) -> list[psutil.Process]:
    """Who is in the process group now, what was begun since the stop included."""
    found = []
    for process in psutil.process_iter():
        with _gone_is_fine():
            if os.getpgid(process.pid) == leader:
                found.append(process)
    return found


def _signal_group(pid: int, number: signal.Signals) -> None:
    with _gone_is_fine():
        os.killpg(pid, number)
