"""A model process without a model: it is there at once and calls every text `a`."""

import socket
import struct
import sys

from serving import processes
from serving.channel import Answers, ModelEnd, Ready


def main(descriptor: str, parent: str, given: str) -> None:
    processes.follow_parent(int(parent))
    front = ModelEnd(socket.socket(fileno=int(descriptor)))
    front.send(Ready(["a", "b"], 8))
    while True:
        work = front.get()
        many = len(work.texts)
        front.send(Answers(work.batch, struct.pack("2d", 0.75, 0.25) * many, bytes(many), 0.0, 0.0))


if __name__ == "__main__":
    main(*sys.argv[1:])
