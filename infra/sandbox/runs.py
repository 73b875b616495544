"""What training and processing jobs have in common: processes that end, are stopped or run out."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.core.utils import utcnow

from infra.sandbox import logstreams
from infra.sandbox.containers import Container
from infra.sandbox.extension import Invalid
from infra.sandbox.world import Process, World

GRACE_S = 5.0
_LOOK_S = 0.1
statuses = threading.Lock()  # held to make a job, and to ask for its status and set it


def ask_to_stop(job: Any, kind: str) -> None:
    """The job's status is Stopping now; Invalid when it is over."""
    name = f"{kind}_job_status"
    with statuses:
        if (status := getattr(job, name)) not in ("InProgress", "Stopping"):
            raise Invalid(f"The request was rejected because the {kind} job is in status {status}.")
        setattr(job, name, "Stopping")


class Failure(Exception):
    """The job ends as Failed with this reason."""


class Run(threading.Thread):
    """One job from creation to its end; `walk` is the way of the kind of job."""

    group = ""

    def __init__(self, world: World, job: Any, name: str, runtime_s: float | None) -> None:
        super().__init__(name=f"job-{name}", daemon=True)
        self.world = world
        self.job = job
        self.job_name = name
        self.runtime_s = runtime_s or 86_400
        self.asked_to_stop = threading.Event()
        self.folder: Path = world.folder("jobs", name)

    def run(self) -> None:
        try:
            self.walk()
        except Failure as failure:
            self.end("Failed", str(failure))
        except Exception as problem:  # the sandbox's own mistake must not leave a job InProgress
            self.end("Failed", f"InternalServerError: {problem!r}")

    def walk(self) -> None:
        raise NotImplementedError

    def end(self, status: str, reason: str | None = None) -> None:
        raise NotImplementedError

    def wait(
        self,
        containers: list[Container],
        processes: list[Process],
        started: float,
        meanwhile: Callable[[], str | None] = lambda: None,
    ) -> str:
        """How it went: Completed, Stopped, MaxRuntimeExceeded or what `meanwhile` says."""
        stamp = int(time.time() * 1000)
        copies = [
            logstreams.follow(process, self.group, f"{self.job_name}/{c.host}-{stamp}")
            for c, process in zip(containers, processes, strict=True)
        ]
        try:
            return self._watch(containers, processes, started, meanwhile)
        finally:
            for process in processes:
                self.world.stop(process, GRACE_S)
            for copy in copies:
                copy.join(60)

    def _watch(
        self,
        containers: list[Container],
        processes: list[Process],
        started: float,
        meanwhile: Callable[[], str | None],
    ) -> str:
        while any(process.running for process in processes):
            if self.world.stopping.is_set():
                raise Failure("InternalServerError: the sandbox was stopped while the job ran")
            if self.asked_to_stop.wait(_LOOK_S):
                return "Stopped"
            if time.monotonic() - started > self.runtime_s:
                return "MaxRuntimeExceeded"
            if said := meanwhile():
                return said
            self._fail_on_a_dead_host(containers, processes)
        self._fail_on_a_dead_host(containers, processes)
        return "Completed"

    def _fail_on_a_dead_host(self, containers: list[Container], processes: list[Process]) -> None:
        for container, process in zip(containers, processes, strict=True):
            if not process.running and (code := process.wait()) != 0:
                text = container.failure() or logstreams.tail(container.log)
                raise Failure(f"AlgorithmError: {text}, exit code: {code}")

    def fail_on_demand(self) -> None:
        """The faults `capacity-error` and `job-failure`."""
        if self.world.faults.take("capacity-error", self.job_name):
            raise Failure(
                "CapacityError: Unable to provision requested ML compute capacity."
                " Please retry using a different ML instance type."
            )
        if fault := self.world.faults.take("job-failure", self.job_name):
            raise Failure(fault.get("reason", "AlgorithmError: fault injected, exit code: 1"))


def now() -> Any:
    return utcnow()
