"""Starting, failing and ending: nothing hangs, nothing is left, the reason is the last line."""

import concurrent.futures
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import httpx
import psutil
import pytest

SECRET = "zyxwv private words"


@pytest.fixture(scope="module")
def doomed(start, served):
    """Four servers that are to die, started at once because each takes long."""
    patient = {"MODEL_PATH": served, "BODY_TIMEOUT_S": 120, "MODEL_TIMEOUT_S": 120}
    servers = [start(**patient, GRACE_S=seconds) for seconds in (120, 20, 20, 5)]
    return iter([server.wait_ready() for server in servers])


def last_line(server, within_s: float = 60) -> str:
    """The last line on stderr of a process that ends by itself."""
    _, errors = server.process.communicate(timeout=within_s)
    return errors.strip().splitlines()[-1]


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=60)[1]


def told(server, name: str) -> str:
    """The line of /metrics that begins with the name."""
    lines = httpx.get(f"{server.url}/metrics", timeout=60).text.splitlines()
    return next(line for line in lines if line.startswith(name))


def address(server) -> tuple[str, int]:
    host, port = server.url.removeprefix("http://").split(":")
    return host, int(port)


def port_is_free(server) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address(server))
    return True


def wait_until(true) -> None:
    end = time.monotonic() + 60
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    assert true()


def ask_until_refused(server, seen: list[str]) -> None:
    """Note what a caller sees who asks without pause on one connection."""
    with httpx.Client(timeout=60) as client:
        while not seen or seen[-1] == "200":
            try:
                answer = client.post(f"{server.url}/predict", json={"text": SECRET})
            except httpx.HTTPError as error:
                seen.append(repr(error))
                continue
            refused = (answer.json().get("error"), answer.headers.get("connection"))
            seen.append("200" if answer.status_code == 200 else " ".join(map(str, refused)))


def ask_health(server, seen: list[str]) -> None:
    """Note the states that a probe sees until nobody answers any more."""
    with suppress(httpx.TransportError):
        while True:
            answer = httpx.get(f"{server.url}/health", timeout=60)
            seen.append(f"{answer.status_code} {answer.json()['status']}")
            time.sleep(0.02)


def test_sigterm_under_load_answers_who_was_let_in_refuses_the_rest_and_leaves_nothing(doomed):
    server = next(doomed)
    family = server.family()
    body = json.dumps({"text": SECRET}).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    with (
        concurrent.futures.ThreadPoolExecutor(5) as callers,
        socket.create_connection(address(server), timeout=60) as slow,
    ):
        asked: list[list[str]] = [[] for _ in range(4)]
        states: list[str] = []
        ended = [callers.submit(ask_until_refused, server, seen) for seen in asked]
        ended.append(callers.submit(ask_health, server, states))
        slow.sendall(head + body[:5])
        wait_until(lambda: states and all(asked))
        os.killpg(server.process.pid, signal.SIGTERM)  # the whole group, as a shell does
        # While one who was let in is not answered, nobody is left without an answer.
        wait_until(lambda: states[-1][:3] == "503" and all(seen[-1] != "200" for seen in asked))
        server.process.send_signal(signal.SIGTERM)  # who is impatient changes nothing
        slow.sendall(body[5:])
        answer = slow.recv(4096)
    output, errors = server.process.communicate(timeout=120)

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert [future.result() for future in ended] == [None] * 5
    assert {what for seen in asked for what in seen[:-1]} == {"200"}
    assert {seen[-1] for seen in asked} == {"draining close"}
    assert states == sorted(states)
    assert set(states) == {"200 healthy", "503 draining"}
    assert (server.process.returncode, errors) == (0, "")
    assert gone(family)
    assert port_is_free(server)
    lines = [json.loads(line) for line in output.splitlines()]
    request = next(line for line in lines if line.get("path") == "/predict")
    wanted = {"request_id", "method", "path", "status", "milliseconds", "model_version"}
    assert wanted <= set(request)
    assert SECRET not in output


def test_a_killed_model_process_answers_who_waits_at_once_and_is_replaced(doomed):
    server = next(doomed)
    worker = server.worker()
    worker.suspend()

    with concurrent.futures.ThreadPoolExecutor(1) as caller:
        asked = caller.submit(
            httpx.post, f"{server.url}/predict", json={"text": "goal"}, timeout=60
        )
        wait_until(lambda: " 1.0" in told(server, "mlops_in_flight"))
        worker.kill()
        answer = asked.result(60)

    assert (answer.status_code, answer.json()["error"]) == (503, "failed")
    server.wait_ready()
    assert httpx.post(f"{server.url}/predict", json={"text": "goal"}).status_code == 200


def test_killing_the_main_process_leaves_no_orphan(doomed):
    server = next(doomed)
    family = server.family()

    server.process.kill()

    server.process.wait(60)
    assert gone(family)
    assert port_is_free(server)


def test_who_is_slower_than_the_grace_is_told_and_does_not_hold_up_the_end(doomed):
    server = next(doomed)

    with socket.create_connection(address(server), timeout=60) as slow:
        slow.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        answer = b"".join(iter(lambda: slow.recv(4096), b""))

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"error":"draining"' in answer
    assert server.process.wait(60) == 0


def test_sigterm_while_the_model_loads_ends_it_cleanly(start, served):
    server = start(MODEL_PATH=served)
    wait_listening(server)
    family = server.family()
    alive = httpx.get(f"{server.url}/health/live").status_code

    server.process.send_signal(signal.SIGTERM)
    server.process.send_signal(signal.SIGINT)

    assert alive == 200
    assert server.process.wait(60) == 0
    assert gone(family)


def wait_listening(server) -> None:
    for _ in range(600):
        try:
            assert httpx.get(f"{server.url}/ping").status_code == 503
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return


def test_an_altered_bundle_ends_it_with_the_reason(start, served, tmp_path):
    broken = shutil.copytree(served, tmp_path / "model")
    weights = broken / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)

    server = start(MODEL_PATH=broken)

    assert "model.safetensors: truncated or altered" in last_line(server)
    assert server.process.returncode == 1


def test_the_http_process_does_not_wait_for_the_imports_of_the_model():
    heavy = "{'torch', 'transformers', 'mlflow', 'sklearn'} & set(sys.modules)"

    said = subprocess.check_output(
        [sys.executable, "-c", f"import sys, serving.app; print({heavy})"], text=True
    )

    assert said == "set()\n"


def test_a_missing_bundle_ends_it_at_once(start, tmp_path):
    server = start(MODEL_PATH=tmp_path / "nothing")

    assert last_line(server).endswith("nothing/manifest.json: No such file or directory")
    assert server.process.returncode == 1


def test_a_bad_setting_is_one_line_and_exit_code_2(start):
    server = start(API_PORT=99999)

    _, errors = server.process.communicate(timeout=60)

    assert errors == ("serving: API_PORT=99999: Input should be less than or equal to 65535\n")
    assert server.process.returncode == 2


def test_a_port_that_is_taken_is_said_before_the_model_is_loaded(start, served):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = start(MODEL_PATH=served, API_PORT=taken.getsockname()[1])

        assert "Address already in use" in last_line(server)
    assert server.process.returncode == 1
