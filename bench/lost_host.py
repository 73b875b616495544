"""Runs that die: after how many seconds they are found, and run again.

On the local stack, after `make deploy` and `set -a; . .perennial/stack.env; set +a`. Each trial is
a `train` with another learning rate, so each has a training job of its own.
"""

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple, dataclass
from typing import Any

import httpx
import psutil
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.settings import PREFECT_API_URL

from deployments import demo, gameday
from tasks.adapters import aws
from tasks.errors import NotFound, WaitTimeout

KINDS = {
    "flow": "the process of the run",
    "host": "the worker and all that it started",
    "pending": "the worker, after it took the run and before that began",
}
FOUND_S = {"flow": 120, "host": 120, "pending": 300}
AGAIN_S = {"flow": 180, "host": 180, "pending": 480}
_LIMIT_S = 900


@dataclass(frozen=True, slots=True)
class Trial:
    """Seconds count from the kill; `at_once`: most processes of the run at one time after it."""

    killed: str
    found_s: float
    again_s: float
    at_once: int
    jobs: int
    state: str

    @property
    def good(self) -> bool:
        in_time = self.found_s <= FOUND_S[self.killed] and self.again_s <= AGAIN_S[self.killed]
        return in_time and (self.at_once, self.jobs, self.state) == (1, 1, "COMPLETED")


def main() -> int:
    """0 when every trial keeps to the bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=[*KINDS], metavar="|".join(KINDS))
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1000)
    asked = parser.parse_args()
    demo.prepare(demo.Demo())
    gameday.ended(gameday.start("ingest", {}))
    trials = [trial(kind, asked.seed + number) for number, kind in enumerate(asked.kinds)]
    print(f"\n{'killed':<9}{'found':>7}{'again':>7}{'at once':>9}{'jobs':>6}  ended")
    for one in trials:
        killed, found, again, at_once, jobs, state = astuple(one)
        print(f"{killed:<9}{found:>5.0f} s{again:>5.0f} s{at_once:>9}{jobs:>6}  {state}")
    return 0 if all(one.good for one in trials) else 1


def trial(kind: str, number: int) -> Trial:
    """One run, from its start over its death to its end."""
    sandbox("DELETE")
    options = {"base_model": "offline", "learning_rate": 1e-4 + 1e-8 * number}
    run = gameday.start("train", {"options": options})
    if kind == "pending":
        wait(lambda: type_of(run) is StateType.PENDING, "a worker took the run")
    else:
        wait(jobs, "the run asked for its training job")
    attempt = gameday.looked_up(run).run_count
    victims = gameday.processes(run) if kind == "flow" else workers()
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.kill()
    killed = time.monotonic()
    print(f"{run.name}: killed {KINDS[kind]}, {len(victims)} processes", flush=True)
    wait(lambda: type_of(run) in (StateType.CRASHED, StateType.SCHEDULED), "it is found dead")
    found = time.monotonic() - killed
    print(f"{run.name}: found after {found:.0f} s", flush=True)
    wait(lambda: gameday.looked_up(run).run_count > attempt, "it runs again")
    again, at_once = time.monotonic() - killed, 1
    while not (state := gameday.looked_up(run).state) or not state.is_final():
        roots = [one for one in gameday.processes(run) if one.ppid() not in pids(run)]
        at_once = max(at_once, len(roots))
        time.sleep(0.5)
    return Trial(kind, found, again, at_once, jobs(), state.type.value)


def type_of(run: FlowRun) -> StateType | None:
    state = gameday.looked_up(run).state
    return state.type if state else None


def pids(run: FlowRun) -> set[int]:
    return {one.pid for one in gameday.processes(run)}


def workers() -> list[psutil.Process]:
    """The worker of this stack, of which there may be others, with everything below it."""
    found, stack = [], PREFECT_API_URL.value() or ""
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            ours = gameday.variable(one, PREFECT_API_URL.name) == stack
            if ours and one.cmdline()[2:5] == ["prefect", "worker", "start"]:
                found += [one, *one.children(recursive=True)]
    if not found:
        raise NotFound(f"no worker of {stack} runs on this machine: make up")
    return found


def jobs() -> int:
    return [call["action"] for call in sandbox("GET")].count("CreateTrainingJob")


def sandbox(method: str) -> Any:
    url = f"{aws.client('s3').meta.endpoint_url}/_sandbox/calls"
    return httpx.request(method, url, timeout=30).json()


def wait(found: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while not found():
        if time.monotonic() > deadline:
            raise WaitTimeout(f"not within {_LIMIT_S} s: {what}")
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
