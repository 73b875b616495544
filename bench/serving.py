"""The endpoint beside the servers a user would pick instead: same machine, model and requests.

Each server is started here, stands still while another is measured, and takes its turn at every
load, so that whatever else the machine does hits all alike. The load comes from a process of its
own. Beside them: the bundle's engine without a server, and what the machine can multiply at most.
Infinity needs an environment of its own (see the README): BENCH_PEER_VENV names it.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn

from bench import goals, report, servers, standin, traffic
from bench.goals import Run
from bench.measures import DEADLINE_S, Broken, Measured, drive
from bench.servers import DidNotStart, Server

OURS, CACHED, RIVAL = "perennial", "perennial-cached", "asgi-grouped"
# Fewer cannot tell half a point of accuracy from chance.
_LABELLED = 2000
_RATES = (0.25, 0.5, 0.75, 0.9, 1.1)


class Bench:
    """One run: the servers that started, and what was measured of them."""

    def __init__(
        self, texts: list[str], rows: list[traffic.Text], seconds: float, levels: tuple[int, ...]
    ) -> None:
        self.texts, self.rows = texts, rows
        self.seconds, self.levels = seconds, levels
        self.run = Run()
        self.servers: dict[str, Server] = {}

    def start(self, kinds: Iterable[servers.Kind], end: ExitStack, logs: Path) -> None:
        """Start all; one that does not is told and left out."""
        for kind in kinds:
            server = servers.start(kind, logs)
            end.callback(server.stop)
            self.servers[server.name] = server
        for name, server in list(self.servers.items()):
            try:
                server.wait_ready()
            except DidNotStart as error:
                _tell(str(error))
                if name == OURS:
                    raise SystemExit(1) from error
                del self.servers[name]
            else:
                self.run.labels[name] = server.kind.label
                _tell(f"{name} answers")
                server.pause()

    def drive(
        self,
        into: Measured,
        name: str,
        seconds: float,
        texts: list[str] | None = None,
        **load: float,
    ) -> None:
        """A turn of one server, while the others stand still."""
        server = self.servers[name]
        server.resume()
        try:
            headers = {"X-Request-Timeout-Ms": f"{DEADLINE_S * 1e3:.0f}"} if "rate" in load else {}
            into.outcomes.append(
                drive(
                    server,
                    texts or self.texts,
                    seconds,
                    connections=int(load.get("connections", 0)),
                    rate=load.get("rate", 0.0),
                    once=bool(load.get("once")),
                    headers=headers,
                )
            )
        except Broken as error:
            _tell(str(error))
        finally:
            server.pause()

    def measure(self, engine: "Engine", turns: int, *, rising: bool) -> None:
        """Everything, in turns."""
        self.warm_up()
        self.label()
        for turn in range(turns):
            for what in ("limits", "many", "batches", "single"):
                found = engine.measure(what, self.seconds)
                self.run.engine.setdefault(what, []).append(found)
            self.closed_turn(turn)
        if rising:
            self.open_turn()
        for _ in range(turns):
            self.overload_turn()

    def warm_up(self) -> None:
        """Every shape of batch once; the cache knows all texts."""
        for name in self.servers:
            self.drive(Measured(), name, min(self.seconds, 3), connections=goals.LEVEL)
        if CACHED in self.servers:
            self.drive(Measured(), CACHED, 120, connections=goals.LEVEL, once=True)

    def label(self) -> None:
        """What ours says of the texts whose label is known."""
        texts = [one.text for one in self.rows]
        self.drive(self.run.labelled, OURS, 120, texts, connections=goals.LEVEL, once=True)

    def closed_turn(self, turn: int) -> None:
        """Every server at every concurrency; who begins changes with the turn."""
        names = [name for name in self.servers if name != CACHED]
        for level in self.levels:
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                found = self.run.closed.setdefault((name, level), Measured())
                self.drive(found, name, self._lasting(level), connections=level)
            _tell(f"turn {turn + 1}, concurrency {level}")
            if CACHED in self.servers:
                found = self.run.hits.setdefault(level, Measured())
                self.drive(found, CACHED, self._lasting(1), connections=level)

    def _lasting(self, level: int) -> float:
        return self.seconds * (0.6 if level == 1 else 1)

    def open_turn(self) -> None:
        """Rising rates, as shares of each server's own peak."""
        for share in _RATES:
            for name in (OURS, RIVAL):
                if name in self.servers:
                    found = self.run.opened.setdefault((name, share), Measured())
                    self.drive(found, name, self.seconds, rate=share * self.peak(name))
            _tell(f"open loop, {share:.0%} of the peak")

    def overload_turn(self) -> None:
        """Twice what it can answer, and right beside it what it can answer."""
        level = max(self.levels, key=lambda one: self.run.closed[OURS, one].rps)
        self.drive(self.run.beside_overload, OURS, self.seconds, connections=level)
        self.drive(self.run.overload, OURS, self.seconds, rate=2 * self.peak(OURS))
        _tell("overload")

    def peak(self, name: str) -> float:
        found = [one.rps for (server, _), one in self.run.closed.items() if server == name]
        if not (most := max(found)) > 0:
            raise SystemExit(f"{name} answered nothing in time: take longer phases, --seconds")
        return most


class Engine:
    """The process of `bench.inprocess`."""

    def __init__(self, bundle: Path, texts: list[str], labelled: list[str]) -> None:
        command = [sys.executable, "-m", "bench.inprocess", str(bundle)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._ask(json.dumps([texts, labelled]))

    def measure(self, what: str, seconds: float = 0) -> dict[str, float]:
        found: dict[str, float] = self._ask(f"{what} {seconds}")
        return found

    def _ask(self, line: str) -> dict[str, float]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        if not (answer := self._process.stdout.readline()):
            raise SystemExit("the engine's process ended")
        found: dict[str, float] = json.loads(answer)
        return found

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def main() -> int:
    """Print the tables; 1 with --check when a measured goal is missed."""
    asked = _parsed()
    signal.signal(signal.SIGTERM, _terminated)
    began = time.monotonic()
    bundle = (asked.bundle or standin.bundle(traffic.source())).absolute()
    levels, turns = ((1, goals.LEVEL), 1) if asked.quick else ((1, 8, goals.LEVEL, 100), 2)
    seconds = asked.seconds or (2.0 if asked.quick else 5.0)
    texts = traffic.stream(400 if asked.quick else 800)
    bench = Bench(texts, traffic.labelled(_LABELLED), seconds, levels)
    with ExitStack() as end:
        logs = Path(end.enter_context(tempfile.TemporaryDirectory()))
        bench.start(_kinds(bundle, asked.peers), end, logs)
        engine = Engine(bundle, bench.texts, [one.text for one in bench.rows])
        end.callback(engine.stop)
        truth = engine.measure("fp32")
        report.print_machine(bench.texts, truth, bundle)
        bench.measure(engine, turns, rising=not asked.quick)
    judged = report.print_all(bench.run, OURS, truth, bench.rows)
    print(f"\n{time.monotonic() - began:.0f} s in all")
    # With every peer asked for, a goal that could not be measured is not reached either.
    missed = [goal for goal in judged if not goal.reached]
    counted = [goal for goal in missed if goal.measured or asked.peers == "all"]
    return 1 if asked.check and counted else 0


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, help="folder; a small one is trained without")
    parser.add_argument("--seconds", type=float, help="of a phase")
    parser.add_argument("--peers", default="all", help="none, all, or names with commas between")
    parser.add_argument("--quick", action="store_true", help="short phases, one turn, two loads")
    parser.add_argument("--check", action="store_true")
    return parser.parse_args()


def _kinds(bundle: Path, wanted: str) -> list[servers.Kind]:
    """Ours with and without its cache, and the peers that are asked for and installed."""
    mine = [servers.ours(OURS, bundle, cache=False), servers.ours(CACHED, bundle, cache=True)]
    if wanted == "none":
        return mine
    venv = os.environ.get("BENCH_PEER_VENV")
    known = servers.peers(bundle, Path(venv).absolute() if venv else None, standin.kept())
    if not venv:
        _tell("infinity is not measured: BENCH_PEER_VENV is not set, see bench/README.md")
    if wanted == "all":
        return mine + list(known.values())
    if unknown := sorted(set(wanted.split(",")) - set(known)):
        raise SystemExit(f"no such peers: {unknown}; there are {', '.join(known)}")
    return mine + [known[name] for name in wanted.split(",")]


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    # An exception, so that every server is ended on the way out.
    raise SystemExit(128 + number)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
