"""Jobs as processes of their own, forked from one that has imported all they need."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from plugins.jobs import FOREIGN

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["training.train", "transformers.models.bert.modeling_bert"])


class Fork:
    """`training.train` with these arguments; what it says goes to a file."""

    def __init__(self, log: Path, arguments: Sequence[str], **variables: object) -> None:
        self.log = log
        told = {name: str(value) for name, value in variables.items()}
        self._process: ForkServerProcess = _CONTEXT.Process(
            target=_train, args=(str(log), [*arguments], told)
        )
        self._process.start()

    @property
    def said(self) -> str:
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def send(self, number: int) -> None:
        assert self._process.pid
        os.kill(self._process.pid, number)

    def end(self, timeout: float = 300) -> int:
        """Its exit status, negative for the signal that ended it."""
        self._process.join(timeout)
        status = self._process.exitcode
        assert status is not None, f"still running after {timeout} s:\n{self.said}"
        self._process.close()
        return status


def wait(fork: Fork, what: str, reached: Callable[[], bool], timeout: float = 300) -> None:
    """Until `reached()` is true; the job must live on meanwhile."""
    deadline = time.monotonic() + timeout
    while not reached():
        assert fork.alive, f"ended before {what}:\n{fork.said}"
        assert time.monotonic() < deadline, f"no {what} after {timeout} s:\n{fork.said}"
        time.sleep(0.002)


def _train(log: str, arguments: list[str], variables: dict[str, str]) -> None:
    with open(log, "ab", buffering=0) as said:  # noqa: PTH123 - a plain descriptor
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        del os.environ[name]
    os.environ.update(variables)
    import torch

    from training import train

    torch.set_num_threads(1)
    try:
        train.main(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
