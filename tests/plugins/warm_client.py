"""The command of the tests' training image: `warm_client.py SOCKET ARGUMENTS`.

Gives the job to the process behind the socket, which has imported all that a job needs, and stays
as long as the job: it passes SIGTERM on and leaves with the same status.
"""

import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    told = {"arguments": sys.argv[2:], "environment": dict(os.environ), "folder": str(Path.cwd())}
    content = json.dumps(told).encode()
    socket.send_fds(server, [len(content).to_bytes(4, "big")], [1, 2])
    server.sendall(content)
    with server.makefile("r") as answers:
        job = int(answers.readline())

        def forward(number: int, _: object) -> None:
            with suppress(ProcessLookupError):
                os.kill(job, number)

        signal.signal(signal.SIGTERM, forward)
        status = int(answers.readline())
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
