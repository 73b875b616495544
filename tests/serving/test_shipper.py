"""What becomes of the spool's files."""

import io
import json
import subprocess
import sys
import threading
from itertools import chain
from uuid import uuid4

import boto3
import botocore.endpoint
import pyarrow.parquet as pq
import pytest
from plugins.clocks import Clock

import serving.shipper
import serving.spool
from serving import app
from serving.shipper import Shipper
from serving.spool import Spool

BUCKET = "shipped-data"
HOUR_MS = 3_600_000
MIDNIGHT = 494_976 * HOUR_MS


@pytest.fixture(scope="module")
def s3(sandbox):
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture
def place():
    """A place of this test's own."""
    return f"data-capture/{uuid4().hex}"


@pytest.fixture
def shipper(place, tmp_path, s3):
    return Shipper(tmp_path, f"s3://{BUCKET}/{place}")


@pytest.fixture
def clock(monkeypatch):
    """The clock of spool and shipper, and of botocore's waits between its tries."""
    clock = Clock(MIDNIGHT / 1000)
    for module in (serving.spool, serving.shipper, botocore.endpoint):
        monkeypatch.setattr(module, "time", clock)
    return clock


def line(name: str, timestamp: int = MIDNIGHT) -> bytes:
    return json.dumps({"request_id": name, "timestamp": timestamp, "text": "t"}).encode()


def shipped(s3, prefix: str) -> dict[str, list[str]]:
    """The request ids by the object's folder."""
    found: dict[str, list[str]] = {}
    for one in s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/").get("Contents", []):
        body = s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read()
        rows = pq.read_table(io.BytesIO(body)).to_pylist()
        folder = one["Key"].removeprefix(f"{prefix}/").rpartition("/")[0]
        found.setdefault(folder, []).extend(row["request_id"] for row in rows)
    return found


def test_a_file_goes_to_the_hours_of_its_rows_once_however_often_it_is_shipped(
    shipper, s3, place, tmp_path
):
    content = b"\n".join([line("a"), line("b", MIDNIGHT + HOUR_MS), line("c"), b""])

    for _ in range(2):  # the second time as after a crash between S3 and this disk
        (tmp_path / "1-w-1.prediction.jsonl").write_bytes(content)
        shipper.ship()

    assert shipped(s3, place) == {
        "dt=2026-06-20/hour=00": ["a", "c"],
        "dt=2026-06-20/hour=01": ["b"],
    }
    assert not [*tmp_path.glob("*.jsonl")]


def test_labels_go_beside_the_predictions(shipper, s3, place, tmp_path):
    (tmp_path / "1-w-1.feedback.jsonl").write_bytes(line("a") + b"\n")

    shipper.ship()

    assert shipped(s3, place) == {}
    assert shipped(s3, place.replace("data-capture", "feedback")) == {
        "dt=2026-06-20/hour=00": ["a"]
    }


def test_half_a_line_is_counted_and_the_others_are_shipped(shipper, s3, place, tmp_path):
    torn = b"\n".join([line("a"), b"\0\0\0", line("b"), line("c")[:20]])
    (tmp_path / "1-w-1.prediction.jsonl").write_bytes(torn)

    shipper.ship()

    assert shipped(s3, place) == {"dt=2026-06-20/hour=00": ["a", "b"]}
    told = json.loads((tmp_path / "shipper.json").read_text())
    assert told == {"shipped_records": 2, "shipped_files": 1, "torn_lines": 2}


def test_a_file_that_cannot_be_rows_does_not_hold_up_the_others(shipper, s3, place, tmp_path):
    wrong = json.dumps({"request_id": "a", "timestamp": MIDNIGHT, "characters": "many"}).encode()
    (tmp_path / "1-w-1.prediction.jsonl").write_bytes(wrong + b"\n")
    (tmp_path / "2-w-2.prediction.jsonl").write_bytes(line("b") + b"\n")

    shipper.ship()

    assert shipped(s3, place) == {"dt=2026-06-20/hour=00": ["b"]}
    assert [file.name for file in tmp_path.glob("*-w-*")] == ["1-w-1.prediction.bad"]


def test_what_s3_does_not_take_stays_and_is_shipped_later(shipper, s3, place, tmp_path, sandbox):
    (tmp_path / "1-w-1.prediction.jsonl").write_bytes(line("a") + b"\n")
    sandbox.fault(kind="error-500", service="s3", action="PutObject", times=100)

    shipper.ship()
    sandbox.clear_faults()
    before = shipped(s3, place)
    shipper.ship()

    assert before == {}
    assert shipped(s3, place) == {"dt=2026-06-20/hour=00": ["a"]}
    assert json.loads((tmp_path / "shipper.json").read_text())["ship_errors"] == 1


def test_s3_down_for_an_hour_loses_no_row_that_was_taken(place, tmp_path, s3, sandbox, clock):
    spool = Spool(tmp_path, 12_000, seconds=60)
    shipper = Shipper(tmp_path, f"s3://{BUCKET}/{place}")
    down, most, taken = clock.now, 0, []
    sandbox.clear_calls()
    sandbox.fault(kind="error-500", service="s3", action="PutObject", times=10_000)

    while clock.now < down + 3600:
        name = f"row-{clock.now - down:.3f}"
        if spool.append("prediction", [line(name, int(clock.now * 1000))]):
            taken.append(name)
        spool.look()
        shipper.secure()
        shipper.look()
        most = max(most, sum(file.stat().st_size for file in tmp_path.glob("*-*")))
        clock.sleep(15)
    tried = len(sandbox.calls(under=f"{BUCKET}/{place}"))
    during = shipped(s3, place)
    sandbox.clear_faults()
    sandbox.fault(kind="commit-then-500", service="s3", action="PutObject")
    spool.close()
    for _ in range(2):  # the answer to the first object is lost, so it is sent again
        clock.sleep(30)
        shipper.look()

    assert during == {}
    assert 100 < tried < 300  # no flood for an S3 that is down
    assert 11_000 < most <= 12_000
    assert 0 < spool.dropped["prediction"] < 200
    assert sorted(chain.from_iterable(shipped(s3, place).values())) == sorted(taken)
    assert not [*tmp_path.glob("*.prediction.*")]


def test_the_totals_outlive_the_process(place, tmp_path, s3):
    for name in "ab":
        (tmp_path / f"1-{name}-1.prediction.jsonl").write_bytes(line(name) + b"\n")
        Shipper(tmp_path, f"s3://{BUCKET}/{place}").ship()

    assert json.loads((tmp_path / "shipper.json").read_text())["shipped_records"] == 2


def test_only_what_a_dead_writer_left_open_is_completed(shipper, tmp_path):
    code = "from serving.spool import Spool; from pathlib import Path; import sys, os;"
    code += "Spool(Path(sys.argv[1]), 10**6, 60).append('prediction', [b'dead']); os._exit(9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
    living = Spool(tmp_path, 10**6, 60)
    living.append("prediction", [b"living"])

    shipper.secure()

    assert [file.read_bytes() for file in tmp_path.glob("*.open")] == [b"living\n"]
    assert [file.read_bytes() for file in tmp_path.glob("*.jsonl")] == [b"dead\n"]


def test_the_last_round_ships_what_is_complete(shipper, s3, place, tmp_path):
    (tmp_path / "1-w-1.prediction.jsonl").write_bytes(line("a") + b"\n")
    ending = threading.Event()
    ending.set()

    shipper.run(ending)

    assert shipped(s3, place) == {"dt=2026-06-20/hour=00": ["a"]}


def test_shipping_apart_needs_a_place(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["serving.app", "ship"])
    monkeypatch.setattr(app.logs, "configure", lambda level: None)

    with pytest.raises(SystemExit, match="2"):
        app.main()

    assert capsys.readouterr().err == "serving: CAPTURE_URI is empty: it says where to ship to\n"
