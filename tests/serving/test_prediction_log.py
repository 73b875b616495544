"""Served for real: what callers were told is logged is in S3 once, whatever was killed or down."""

import concurrent.futures
import io
import signal
import time
from collections import Counter
from pathlib import Path

import boto3
import httpx
import psutil
import pyarrow.parquet as pq
import pytest
from plugins.pools import Rig

BUCKET = "log-data"
PLACE = "data-capture/news"


@pytest.fixture(scope="module")
def s3(sandbox):
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture(scope="module")
def spool(tmp_path_factory):
    return tmp_path_factory.mktemp("spool") / f"{BUCKET}_{PLACE.replace('/', '_')}"


@pytest.fixture(scope="module")
def serve(start, sandbox, s3, spool, tmp_path_factory):
    """`serve(...)` is a server that logs, with one spool for all of them; its model is instant."""
    folder = tmp_path_factory.mktemp("logged")
    model = Rig(folder).bundle("news")

    def run(**variables):
        return start(
            module="plugins.quick_app",
            PYTHONPATH=Path(__file__).parents[1],
            MODEL_PATH=model,
            CACHE_ENABLED="false",
            CAPTURE_URI=f"s3://{BUCKET}/{PLACE}",
            CAPTURE_DIR=spool.parent,
            CAPTURE_SECONDS=0.2,
            VARIANT="blue",
            AWS_ENDPOINT_URL=sandbox.url,
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",
            AWS_DEFAULT_REGION="us-east-1",
            **variables,
        )

    return run


def ask(server, numbers, logged, statuses) -> None:
    """Ask once for each number, and note which requests are said to be logged."""
    with httpx.Client(timeout=60) as client:
        for number in numbers:
            try:
                answer = client.post(f"{server.url}/predict", json={"text": f"text {number}"})
            except httpx.TransportError:
                return  # the server was killed
            statuses.append(answer.status_code)
            if answer.headers.get("x-logged") == "true":
                logged.append(answer.headers["x-request-id"])


def shipper(server) -> psutil.Process | None:
    found = [p for p in server.family() if "serving.shipper" in p.cmdline()]
    return found[0] if found else None


def until(reached, within_s=60):
    end = time.monotonic() + within_s
    while not (found := reached()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def told(server) -> dict[str, float]:
    """The log's own numbers in /metrics."""
    text = httpx.get(f"{server.url}/metrics", timeout=60).text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("mlops_capture")]
    return {name.removeprefix("mlops_capture_"): float(value) for name, value in lines}


def of_outcome(server, outcome: str) -> float:
    return told(server)[f'records_total{{kind="prediction",outcome="{outcome}"}}']


def in_s3(s3) -> list[dict]:
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
    rows = []
    for key in keys:
        body = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        found = pq.read_table(io.BytesIO(body)).to_pylist()
        hours = {row["timestamp"].strftime(f"{PLACE}/dt=%Y-%m-%d/hour=%H") for row in found}
        assert hours == {key.rpartition("/")[0]}
        rows += found
    return rows


def test_killed_shippers_and_servers_a_full_spool_and_no_s3_lose_nothing_that_was_told(
    serve, s3, sandbox, spool
):
    logged: list[str] = []
    statuses: list[int] = []

    first = serve().wait_ready()
    until(lambda: shipper(first))
    with concurrent.futures.ThreadPoolExecutor(3) as callers:
        for _ in range(3):
            callers.submit(ask, first, range(10_000), logged, statuses)
        until(lambda: len(logged) > 60)
        shipper(first).kill()
        until(lambda: len(logged) > 120)
        family = first.family()
        first.process.kill()
    first.process.wait(60)
    assert not psutil.wait_procs(family, timeout=60)[1]
    assert len(logged) == len(statuses)

    sandbox.fault(kind="throttle", service="s3", action="PutObject", times=10_000)
    left = sum(file.stat().st_size for file in spool.glob("*-*"))
    second = serve(CAPTURE_MAX_BYTES=left + 20_000).wait_ready()
    until(lambda: shipper(second)).kill()
    until(lambda: told(second)["shipper_restarts_total"] == 1)
    before = len(logged)
    asked: list[int] = []
    ask(second, range(200), logged, asked)
    until(lambda: told(second)["ship_errors_total"] >= 1)
    dropped = len(asked) - (len(logged) - before)
    assert of_outcome(second, "logged") == len(logged) - before > 0
    assert of_outcome(second, "dropped") == dropped > 0

    sandbox.clear_faults()
    sandbox.fault(kind="commit-then-500", service="s3", action="PutObject")
    until(lambda: told(second)["spool_files"] == 0, within_s=180)
    kept = len(logged)
    ask(second, range(20), logged, asked)
    assert len(logged) == kept + 20
    family = second.family()
    second.process.send_signal(signal.SIGTERM)
    assert second.process.wait(60) == 0
    assert not psutil.wait_procs(family, timeout=60)[1]

    rows = in_s3(s3)
    assert set(statuses + asked) == {200}
    assert Counter(row["request_id"] for row in rows) >= Counter(logged)
    assert max(Counter(row["request_id"] for row in rows).values()) == 1
    # Written down, but killed before the answer was sent.
    assert len(rows) - len(logged) <= 3
    one = rows[0]
    assert (one["classifier"], one["variant"], one["label"]) == ("news", "blue", "a")
    assert (one["probabilities"], one["confidence"]) == ([0.75, 0.25], 0.75)
    assert {row["text"] for row in rows} <= {f"text {number}" for number in range(10_000)}
