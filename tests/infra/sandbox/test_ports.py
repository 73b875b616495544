"""A stack's ports are its own: free when chosen, and nobody else's when they answer."""

import os
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from infra.sandbox import ports, stack
from infra.sandbox.world import free_port

ROOT = Path(__file__).parents[3]
# A server that listens a moment after its port was chosen, as each of a stack's does.
START = """
import socket, sys, time
from infra.sandbox import ports
with ports.held():
    port = ports.choose({"server": int(sys.argv[1])})["server"]
    time.sleep(1)
    server = socket.create_server(("127.0.0.1", port))
print("listening", port, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def stranger():
    class Health(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_): ...

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_two_that_start_in_the_same_second_listen_on_different_ports(tmp_path):
    wanted = free_port()
    both = [
        subprocess.Popen(
            [sys.executable, "-c", START, str(wanted)],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = []
    try:
        said = [next(line for line in one.stdout if "listening" in line) for one in both]
    finally:
        told = [one.communicate(timeout=120)[0] for one in both]
    assert len(set(said)) == 2
    assert f"listening {wanted}\n" in said
    assert told == ["", ""]


def test_a_taken_port_is_passed_over_and_told(listening, capsys):
    chosen = ports.choose({"prefect": listening, "mlflow": listening})

    assert len({listening, *chosen.values()}) == 3
    assert f"port {listening} is taken; prefect listens on {chosen['prefect']}" in (
        capsys.readouterr().out
    )


def test_a_strangers_answer_is_not_taken_for_the_stacks_own(stranger, tmp_path):
    service = stack.Service("prefect", 4200, "/")

    with pytest.raises(stack.StackFailed, match=rf"process {os.getpid()} .*took {stranger}"):
        stack.wait(service, stranger, tmp_path / "prefect.log", tmp_path)


def test_what_carries_the_stacks_mark_is_its_own(tmp_path):
    code = "import http.server as h; s = h.HTTPServer(('127.0.0.1', 0), h.SimpleHTTPRequestHandler)"
    code += "; print(s.server_port, flush=True); s.serve_forever()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PERENNIAL_STACK": str(tmp_path)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            url = f"http://127.0.0.1:{int(server.stdout.readline())}"
            stack.wait(stack.Service("mlflow", 5000, "/"), url, tmp_path / "log", tmp_path)
        finally:
            server.terminate()
    assert not stack.healthy(url)
