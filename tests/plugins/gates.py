"""Holding a training job still, so that what else happens meanwhile is no matter of luck."""

import logging
from collections.abc import Iterator
from pathlib import Path

import psutil
from plugins.warm_server import PID


class Gate(logging.Handler):
    """Holds the processes of a job until the flow's log says the words."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__()
        self.words = words
        self.held = list(_processes_of(name))
        for process in self.held:
            process.suspend()

    def emit(self, record: logging.LogRecord) -> None:
        if self.words in record.getMessage():
            self.open()

    def open(self) -> None:
        while self.held:
            self.held.pop().resume()


def _processes_of(name: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            continue
        if environment.get("TRAINING_JOB_NAME") == name:
            yield process
            if (forked := Path(environment["SAGEMAKER_BASE_DIR"], PID)).exists():
                yield psutil.Process(int(forked.read_text()))
