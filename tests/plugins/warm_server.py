"""`python -m plugins.warm_server SOCKET`: forks a training job for each that asks.

A job's imports take twelve seconds of a core and are the same each time. Ends with the last session
that holds a connection.
"""

import gc
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PID = "pid"  # beside the job's input and output: the fork is not the process that SageMaker started


@dataclass
class Job:
    told: dict[str, Any]
    outputs: list[int]

    def run(self) -> None:
        """`python -m training.train`, in the environment of the process that asked."""
        os.environ.clear()
        os.environ.update(self.told["environment"])
        os.chdir(self.told["folder"])
        Path(os.environ["SAGEMAKER_BASE_DIR"], PID).write_text(str(os.getpid()))
        for number, output in enumerate(self.outputs, 1):
            os.dup2(output, number)
            os.close(output)
        random.seed()
        sys.argv[1:] = self.told["arguments"]
        runpy.run_module("training.train", run_name="__main__", alter_sys=True)


def imported() -> None:
    import nncf  # noqa: F401
    import transformers.models.bert.modeling_bert
    import transformers.models.bert.tokenization_bert  # noqa: F401

    import training.train  # noqa: F401

    del sys.modules["training.train"]  # it is to be __main__
    gc.collect()
    gc.freeze()


def serve(place: str) -> Job | None:
    """Returns None when nobody needs it any more, and a job in the process that is to run it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who keep jobs
    held: list[socket.socket] = []
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(place)
        door.listen(64)
        while True:
            for one in select.select([door, *held], [], [])[0]:
                if one is not door:
                    held.remove(one)
                    one.close()
                    continue
                asking, _ = door.accept()
                header, outputs, *_ = socket.recv_fds(asking, 4, 2)
                if not int.from_bytes(header, "big"):
                    held.append(asking)
                elif not os.fork():
                    return keep(asking, int.from_bytes(header, "big"), outputs)
                else:
                    asking.close()
                    for output in outputs:
                        os.close(output)
            if not held:
                return None


def keep(asking: socket.socket, size: int, outputs: list[int]) -> Job:
    """Fork the job; it ends at the latest with the process that asked for it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    content = asking.makefile("rb").read(size)
    if not (pid := os.fork()):
        os.setsid()
        asking.close()
        return Job(json.loads(content), outputs)
    for output in outputs:
        os.close(output)
    asking.sendall(f"{pid}\n".encode())
    ended = os.pidfd_open(pid)
    first, _, _ = select.select([ended, asking.fileno()], [], [])
    if ended not in first:
        os.killpg(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        asking.sendall(f"{status}\n".encode())
    finally:
        os._exit(0)


if __name__ == "__main__":
    from training import engine

    engine.library()  # before anything imports it on its own, with its telemetry
    imported()
    if job := serve(sys.argv[1]):
        job.run()
