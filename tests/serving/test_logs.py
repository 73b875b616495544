"""Log lines: one JSON object each, whatever callers send, and never at a request's cost."""

import asyncio
import json
import logging
import threading
import time

import httpx
import pytest
from plugins.load import Load

from serving import logs
from serving.logs import Sink

EVIL = 'a"\n{"level": "INFO"}\r\x1b[31m\x9b31m\u2028\u202e\x7f\ud800'


class Output:
    """Standard output with a switch: takes all, or fails, or takes nothing until released."""

    def __init__(self) -> None:
        self.written = b""
        self.error: OSError | None = None
        self.room = 10**9
        self.open = threading.Event()
        self.open.set()
        self.asked = False

    def __call__(self, text: memoryview) -> int:
        self.asked = True
        self.open.wait()
        if self.error and not self.room:
            raise self.error
        done = min(len(text), self.room)
        self.room -= done
        self.written += bytes(text[:done])
        return done

    @property
    def lines(self) -> list[str]:
        return self.written.decode().split("\n")[:-1]


@pytest.fixture
def output():
    return Output()


def wait_until(true) -> None:
    end = time.monotonic() + 60
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    assert true()


def test_lines_come_out_in_their_order(output):
    sink = Sink(output)

    sink.put(b"first\n")
    sink.put((0.25, {"request_id": "abc"}))
    sink.close(60)

    assert output.lines == [
        "first",
        '{"timestamp":"1970-01-01T00:00:00.250+00:00","request_id":"abc"}',
    ]


def test_nobody_waits_for_an_output_that_does_not_move(output):
    output.open.clear()
    sink = Sink(output)
    began = time.monotonic()

    for _ in range(30_000):
        sink.put(b"line\n")

    assert time.monotonic() - began < 15  # a millisecond's wait for each were 30 s
    assert sink.lost >= 9_000
    output.open.set()
    sink.close(60)
    assert output.lines.count("line") + sink.lost == 30_000


def test_lines_lost_while_the_output_stands_still_stay_counted_when_it_moves_again(output):
    output.open.clear()
    sink = Sink(output)
    sink.put(b"line\n")
    wait_until(lambda: output.asked)

    for _ in range(20_100):
        sink.put(b"line\n")
    output.open.set()
    sink.close(60)

    assert sink.lost == 100
    assert output.lines.count("line") == 20_001


def test_a_full_disk_costs_lines_that_are_counted_until_there_is_room(output):
    output.error, output.room = OSError(28, "No space left on device"), 11
    sink = Sink(output)
    for number in range(10):
        sink.put(b"line %d\n" % number)
    wait_until(lambda: sink.lost == 9)

    output.room = 10**9
    sink.put(b"again\n")
    sink.close(60)

    whole = [line for line in output.lines if line.startswith("line ") and len(line) == 6]
    assert sink.lost == 10 - len(whole)
    assert "again" in output.lines
    notice = next(json.loads(line) for line in output.lines if line.startswith("{"))
    assert (notice["message"], notice["lines"]) == ("log lines were lost", 9)


@pytest.mark.parametrize("how", ["access", "logger"])
def test_what_callers_send_forges_no_line(output, how):
    sink = Sink(output)
    if how == "access":
        sink.put((0, {"caller": EVIL}))
    else:
        record = logging.makeLogRecord({"msg": EVIL, "fields": {"caller": EVIL}})
        sink.put(logs.JsonFormatter().format(record).encode() + b"\n")
    sink.close(60)

    (line,) = output.written.split(b"\n")[:-1]
    assert all(0x20 <= letter < 0x7F for letter in line.replace(b"\x7f", b""))
    assert json.loads(line)["caller"].encode("utf-8", "surrogatepass")[:10] == EVIL[:10].encode()


def test_an_exception_is_logged_without_its_message():
    try:
        raise ValueError("a user's text")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.makeLogRecord({"msg": "request failed", "exc_info": info})

    line = logs.JsonFormatter().format(record)

    assert json.loads(line)["exception"] == "ValueError"
    assert "a user's text" not in json.loads(line)["stack"].replace('"a user\'s text"', "")


def test_a_server_whose_log_nobody_reads_answers_and_counts_what_it_lost(bounded):
    load = Load(bounded.url)

    def ask() -> set[int]:
        return set(asyncio.run(load.closed_loop(8, seconds=1)).statuses)

    def lost() -> float:
        text = httpx.get(f"{bounded.url}/metrics").text
        return float(text.split("\nmlops_log_lines_lost_total ")[1].split()[0])

    assert ask() == {200}  # more than the pipe holds, on any machine but a very slow one
    assert lost() == 0

    bounded.process.stdout.close()

    assert ask() == {200}
    wait_until(lambda: lost() > 0)
