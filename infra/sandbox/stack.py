"""The local stack as one thing: AWS sandbox, Prefect, MLflow and a worker, under supervisord."""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil

from infra.sandbox import ports

_MARK = "PERENNIAL_STACK"
_START_S = 240
_STOP_S = 60


@dataclass(frozen=True, slots=True)
class Service:
    """One server of the stack: where it likes to listen and how it says that it is ready."""

    name: str
    port: int
    health: str


SERVICES = (
    Service("sandbox", 4566, "/_sandbox/health"),
    Service("prefect", 4200, "/api/health"),
    Service("mlflow", 5000, "/health"),
)


class StackFailed(Exception):
    """The stack did not come up; names the service and its log."""


def main() -> int:
    """Run one verb; 0 when it did what was asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=lambda text: Path(text).resolve(), required=True)
    parser.add_argument("verb", choices=("up", "down", "status"))
    asked = parser.parse_args()
    try:
        return {"up": up, "down": down, "status": status}[asked.verb](asked.state)
    except StackFailed as failure:
        print(f"make up: {failure}", file=sys.stderr)
        down(asked.state)
        return 1


def up(state: Path) -> int:
    """Start what does not run yet and wait until every service answers."""
    logs = state / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with ports.held():
        if supervisor(state) is None:
            sweep(state)
            start(state, logs)
        urls = read_urls(state)
        for service in SERVICES:
            started = time.monotonic()
            wait(service, urls[service.name], logs / f"{service.name}.log", state)
            print(f"{service.name:8} {urls[service.name]}  ({time.monotonic() - started:.0f} s)")
    print(f"logs     {logs}", flush=True)
    return 0


def start(state: Path, logs: Path) -> None:
    """Start the supervisor, which starts the services: at their ports of last time where it can."""
    before = read_urls(state)
    wanted = {
        service.name: port_of(before[service.name]) if before else service.port
        for service in SERVICES
    }
    subprocess.run(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(_CONFIG)],
        env=write_environment(state, ports.choose(wanted)),
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=(logs / "supervisord.out").open("ab"),
        stderr=subprocess.STDOUT,
        check=True,
    )


def down(state: Path) -> int:
    """Stop the supervisor, which stops its services; then end whatever is left of this stack."""
    if found := supervisor(state):
        found.send_signal(signal.SIGTERM)
        try:
            found.wait(_STOP_S)
        except psutil.TimeoutExpired:
            found.kill()
    left = sweep(state)
    ended = f" ({left} left-over processes ended)" if left else ""
    print(f"stopped{ended}; state is kept in {state}")
    return 0


def status(state: Path) -> int:
    """Say what runs; 1 when something does not answer."""
    if supervisor(state) is None:
        print("not running: make up")
        return 1
    urls = read_urls(state)
    well = True
    for service in SERVICES:
        answers = healthy(urls[service.name] + service.health)
        well &= answers
        print(f"{service.name:8} {urls[service.name]}  {'ready' if answers else 'DOES NOT ANSWER'}")
    return 0 if well else 1


def supervisor(state: Path) -> psutil.Process | None:
    """The supervisor of this state folder, None when none runs."""
    try:
        process = psutil.Process(int((state / "supervisord.pid").read_text()))
        ours = process.environ().get(_MARK) == str(state)
    except (OSError, ValueError, psutil.Error):
        return None
    return process if ours else None


def sweep(state: Path) -> int:
    """End every process that this stack started, whoever its parent is now; tell how many."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    left = [process for process in psutil.process_iter() if process.pid not in own]
    left = [process for process in left if belongs(process, state)]
    for process in left:
        try:
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    for process in psutil.wait_procs(left, timeout=5)[1]:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    return len(left)


def belongs(process: psutil.Process, state: Path) -> bool:
    """Whether the process carries the mark of this stack or of its sandbox."""
    try:
        found = process.environ()
    except (psutil.Error, OSError):
        return False
    marks = {_MARK: str(state), "PERENNIAL_SANDBOX": str(state / "sandbox")}
    return any(found.get(name) == value for name, value in marks.items())


def write_environment(state: Path, chosen: dict[str, int]) -> dict[str, str]:
    """Write stack.env, which a shell reads to use the stack; return the services' environment."""
    urls = {name: f"http://127.0.0.1:{port}" for name, port in chosen.items()}
    shell = {
        "AWS_ENDPOINT_URL": urls["sandbox"],
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PREFECT_API_URL": f"{urls['prefect']}/api",
        "PREFECT_HOME": str(state / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "MLFLOW_TRACKING_URI": urls["mlflow"],
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Five more processes, for evaluation features that nothing here uses.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "DO_NOT_TRACK": "true",
    }
    lines = "".join(f"{name}={shlex.quote(value)}\n" for name, value in shell.items())
    (state / "stack.env").write_text(lines)
    return {
        # What the caller set goes before it: PostgreSQL needs no such care.
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": prefect_database(state),
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        **shell,
        _MARK: str(state),
        "PYTHONPATH": str(_ROOT),
        "PYTHONUNBUFFERED": "1",
        "STACK_STATE": str(state),
        "STACK_LOGS": str(state / "logs"),
        "STACK_PYTHON": sys.executable,
        "STACK_MODELS_BUCKET": "perennial-models-dev",
        **{f"STACK_{name.upper()}_PORT": str(port) for name, port in chosen.items()},
    }


def prefect_database(state: Path) -> str:
    """Where Prefect keeps its SQLite database, reached through a single connection.

    With several, an error on one leaves a cursor behind. The event loop, collecting it, waits for
    that connection, and that one up to 60 s for a lock which only the event loop can release.
    Prefect takes one connection where `:memory:` is in the URL; SQLite ignores that parameter.
    """
    file = quote(str(state / "prefect/prefect.db"))
    return f"sqlite+aiosqlite:///file:{file}?uri=true&connections=:memory:"


def read_urls(state: Path) -> dict[str, str]:
    """Where the services of this state folder listen, or listened last time."""
    try:
        lines = (state / "stack.env").read_text().splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.partition("=") for line in lines)
    shell = {name: shlex.split(value)[0] for name, _, value in pairs}
    return {
        "sandbox": shell["AWS_ENDPOINT_URL"],
        "prefect": shell["PREFECT_API_URL"].removesuffix("/api"),
        "mlflow": shell["MLFLOW_TRACKING_URI"],
    }


def wait(service: Service, url: str, log: Path, state: Path) -> None:
    """Return once the service answers; raise StackFailed with the end of its log otherwise."""
    deadline = time.monotonic() + _START_S
    dies = time.monotonic() + 15  # the daemon writes its pid file a moment after it detached
    while time.monotonic() < deadline and (supervisor(state) or time.monotonic() < dies):
        if healthy(url + service.health):
            check_owner(service, url, state)
            return
        time.sleep(0.5)
    end = "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else ""
    raise StackFailed(f"{service.name} does not answer at {url}; the end of {log}:\n{end}")


def check_owner(service: Service, url: str, state: Path) -> None:
    """Raise StackFailed when what answers is not of this stack: its own server has no port then."""
    found = ports.listener(port_of(url))
    if found is None or not belongs(found, state):
        who = f"process {found.pid} ({found.name()})" if found else "another user's process"
        raise StackFailed(
            f"{who} took {url} while {service.name} was starting; run it again: {service.name}"
            " takes the next free port"
        )


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


def healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # nosec B310
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


_ROOT = Path(__file__).resolve().parents[2]
_CONFIG = Path(__file__).with_name("supervisord.conf")

if __name__ == "__main__":
    sys.exit(main())
