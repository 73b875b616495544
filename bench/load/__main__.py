"""People at the real server: Locust, a hundred users who pause for one to three seconds.

Starts `python -m serving.app` with keys and limits on and a key of class load-test, runs Locust
beside it without a page, and judges its CSV by the targets: p50 100 ms, p95 300 ms, p99 500 ms,
CPU under 70 %, memory under 80 %. With --results FILE it only judges a run that was made elsewhere.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psutil

from bench import servers, standin, traffic
from bench.load import results
from bench.load.results import Taken
from bench.servers import Kind, Server
from serving import keys

_LOOK_S = 0.5


class Watch:
    """CPU and memory of a process and all it started, while the block runs."""

    def __init__(self, pid: int, after_s: float) -> None:
        self._top, self._after_s = psutil.Process(pid), after_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._cpu: list[tuple[float, float]] = []
        self._memory = 0.0

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        self._over.wait(self._after_s)  # while people come, CPU is not yet what it will be
        while not self._over.wait(_LOOK_S):
            spent = memory = 0.0
            for one in (self._top, *self._top.children(recursive=True)):
                try:
                    times, memory = one.cpu_times(), memory + one.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
                spent += times.user + times.system
            self._cpu.append((time.monotonic(), spent))
            self._memory = max(self._memory, memory)

    @property
    def taken(self) -> Taken:
        if len(self._cpu) < 2:
            return Taken()
        (began, before), (ended, after) = self._cpu[0], self._cpu[-1]
        cores = len(os.sched_getaffinity(0))
        cpu = 100 * (after - before) / (ended - began) / cores
        return Taken(cpu, 100 * self._memory / psutil.virtual_memory().total)


def main() -> int:
    """Print the report; 1 with --check when a target is missed."""
    asked = _parsed()
    if asked.results:
        goals = results.judged(results.read(asked.results), Taken(), asked.users)
    else:
        goals = _measured(asked)
    print("targets" + "".join(f"\n{goal}" for goal in goals))
    missed = [goal for goal in goals if goal.measured and not goal.reached]
    return 1 if asked.check and missed else 0


def _measured(asked: argparse.Namespace) -> list[results.Goal]:
    users = asked.users or 100
    bundle = (asked.bundle or standin.bundle(traffic.source())).absolute()
    key, stored = keys.make("load-test", "load-test")
    with ExitStack() as end:
        folder = Path(end.enter_context(tempfile.TemporaryDirectory()))
        (folder / "keys.json").write_text(keys.document((stored,)))
        server = servers.start(_with_keys(bundle, folder / "keys.json", key), folder)
        end.callback(server.stop)
        server.wait_ready()
        with Watch(server.pid, users / asked.spawn_rate) as watch:
            _locust(asked, users, server, key, folder)
        found = results.read(folder / "locust_results.csv")
        if asked.csv:
            for file in folder.glob("locust_results*.csv"):
                (asked.csv / file.name).write_bytes(file.read_bytes())
    cores, busy = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"{time.strftime('%Y-%m-%d %H:%M')}, {cores} cores, load {busy:.1f}, Locust beside")
    print(f"{users} people, {found.requests} requests in {asked.seconds} s, cache off;", end=" ")
    print("keys and limits on, 60,000 a minute for class load-test")
    return results.judged(found, watch.taken, users)


def _with_keys(bundle: Path, stored: Path, key: str) -> Kind:
    """The server as callers meet it; the cache would answer what was asked before."""
    kind = servers.ours("perennial", bundle, cache=False)
    env = {**kind.env, "AUTH": "keys", "API_KEYS_FILE": str(stored), "RATE_LIMIT_ENABLED": "true"}
    return replace(kind, env=env, headers={"X-API-Key": key})


def _locust(asked: argparse.Namespace, users: int, server: Server, key: str, folder: Path) -> None:
    locustfile = Path(__file__).with_name("locustfile.py")
    command = [sys.executable, "-m", "locust", "--locustfile", str(locustfile), "--headless"]
    command += ["--host", f"http://127.0.0.1:{server.port}", "--only-summary", "--reset-stats"]
    command += ["--users", str(users), "--spawn-rate", str(asked.spawn_rate)]
    # Its clock runs from the first user; what counts begins when all are there.
    command += ["--run-time", f"{asked.seconds + users / asked.spawn_rate:.0f}s"]
    command += ["--csv", str(folder / "locust_results"), "--exit-code-on-error", "0"]
    done = subprocess.run(
        command,
        env={**os.environ, "LOAD_TEST_KEY": key, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=asked.seconds + users / asked.spawn_rate + 120,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise SystemExit(f"locust ended with {done.returncode}: {said[-1]}")


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.load",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--results", type=Path, help="judge this CSV of locust, start nothing")
    parser.add_argument("--bundle", type=Path, help="folder; a small one is trained without")
    parser.add_argument("--users", type=int, help="100; with --results, how many there were")
    parser.add_argument("--spawn-rate", type=float, default=10, help="users a second")
    parser.add_argument("--seconds", type=float, default=60, help="after all users are there")
    parser.add_argument("--csv", type=Path, help="folder to keep locust's files in")
    parser.add_argument("--check", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
