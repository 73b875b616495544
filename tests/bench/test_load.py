"""What bench.load makes of Locust's files, and what its people ask."""

import json
import math
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.load.results import Taken, judged, read

CHECKOUT = Path(__file__).resolve().parents[2]
HEAD = "Type,Name,Request Count,Failure Count,Requests/s,50%,95%,99%"
GOOD = "2000,0,49.5,40,120,480"


def stats(folder, total=GOOD):
    file = folder / "locust_results_stats.csv"
    file.write_text(f"{HEAD}\nPOST,/predict,{GOOD}\n,Aggregated,{total}\n")
    return file


def missed(found, taken=Taken(50, 10), users=100):
    return [one.name for one in judged(found, taken, users) if one.measured and not one.reached]


@pytest.mark.parametrize("name", ["locust_results_stats.csv", "locust_results.csv"])
def test_locusts_files_are_found_by_either_name(tmp_path, name):
    stats(tmp_path)

    found = read(tmp_path / name)

    assert (found.requests, found.rps, found.ms["99%"]) == (2000, 49.5, 480)
    assert missed(found) == []


@pytest.mark.parametrize(
    ("total", "goals"),
    [
        ("2000,0,49.5,110,120,480", ["p50 ms"]),
        ("2000,0,49.5,40,310,510", ["p95 ms", "p99 ms"]),
        ("2000,30,49.5,40,120,480", ["failures, share"]),
        ("2000,0,44,40,120,480", ["requests/s, of those 100 people ask for"]),
    ],
)
def test_each_target_that_is_missed_is_named(tmp_path, total, goals):
    assert missed(read(stats(tmp_path, total))) == goals


def test_a_machine_that_is_full_is_a_target_missed(tmp_path):
    found = read(stats(tmp_path))

    assert missed(found, Taken(71, 81)) == [
        "CPU of the machine, percent",
        "memory of the machine, percent",
    ]
    assert missed(found, Taken()) == []


def test_of_many_people_a_thousand_requests_a_second_are_wanted(tmp_path):
    found = read(stats(tmp_path))

    assert missed(found, users=5000) == ["requests/s"]
    assert missed(found, users=None) == ["requests/s"]


def test_a_run_without_a_request_reaches_nothing(tmp_path):
    found = read(stats(tmp_path, "0,0,0.0,N/A,N/A,N/A"))

    assert math.isnan(found.ms["50%"])
    assert not any(one.reached for one in judged(found, Taken(), 100))


def test_a_file_that_is_not_there_is_told_with_what_makes_it(tmp_path):
    with pytest.raises(SystemExit, match="run locust with --csv"):
        read(tmp_path / "locust_results.csv")


def test_people_ask_as_callers_do_with_the_key_they_were_given(tmp_path):
    asked = []

    class Endpoint(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers["X-API-Key"], body))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        locust = [sys.executable, "-m", "locust", "-f", "bench/load/locustfile.py", "--headless"]
        host = f"http://127.0.0.1:{server.server_port}"
        many = ["--users", "3", "--spawn-rate", "3", "--run-time", "90s", "--only-summary"]
        with subprocess.Popen(
            [*locust, "--host", host, *many, "--csv", str(tmp_path / "locust_results")],
            cwd=CHECKOUT,
            env={**os.environ, "LOAD_TEST_KEY": "key", "PYTHONPATH": str(CHECKOUT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as people:
            while len(asked) < 5 and people.poll() is None:
                time.sleep(0.1)
            people.terminate()
            _, said = people.communicate(timeout=60)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

    assert people.returncode == 0, said
    found = read(tmp_path / "locust_results.csv")
    assert found.failures == 0
    assert 0 < found.requests <= len(asked)  # who is on the way at the end is not counted
    assert {(path, key) for path, key, _ in asked} == {("/predict", "key")}
    assert all(set(body) == {"text"} and body["text"] for _, _, body in asked)
