import time
from functools import partial
from typing import Any

import pytest

from tasks.adapters import aws, logs


@pytest.fixture
def cloudwatch(sandbox) -> Any:
    return aws.client("logs")


def put(cloudwatch: Any, group: str, stream: str, *lines: str) -> None:
    if not lines:
        return
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": line} for line in lines]
    cloudwatch.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def made(cloudwatch: Any, group: str, *streams: str) -> None:
    cloudwatch.create_log_group(logGroupName=group)
    for stream in streams:
        cloudwatch.create_log_stream(logGroupName=group, logStreamName=stream)


def test_a_group_that_is_not_there_yet_has_no_lines(cloudwatch):
    assert logs.read(cloudwatch, logs.Tail("/none", "job/")) == []


def test_every_line_comes_once(cloudwatch):
    made(cloudwatch, "/once", "job/algo-1", "job-a2/algo-1")
    tail = logs.Tail("/once", "job/")
    put(cloudwatch, "/once", "job/algo-1", "one", "two")
    put(cloudwatch, "/once", "job-a2/algo-1", "of another job")

    first, second = logs.read(cloudwatch, tail), logs.read(cloudwatch, tail)
    put(cloudwatch, "/once", "job/algo-1", "three")

    assert (first, second) == (["one", "two"], [])
    assert logs.read(cloudwatch, tail) == ["three"]
    assert tail.last == ["one", "two", "three"]
    assert tail.where == "/once job/algo-1"


def test_all_instances_are_heard(cloudwatch):
    made(cloudwatch, "/many", "job/algo-1", "job/algo-2")
    put(cloudwatch, "/many", "job/algo-1", "from one")
    put(cloudwatch, "/many", "job/algo-2", "from two")

    assert logs.read(cloudwatch, logs.Tail("/many", "job/")) == ["from one", "from two"]


def test_more_lines_than_one_answer_holds_all_come(cloudwatch):
    made(cloudwatch, "/long", "job/algo-1")
    lines = [f"line {number}" for number in range(12_000)]
    for begin in range(0, len(lines), 4000):
        put(cloudwatch, "/long", "job/algo-1", *lines[begin : begin + 4000])

    assert logs.read(cloudwatch, logs.Tail("/long", "job/")) == lines


def test_lines_go_on_to_the_log_of_this_process(cloudwatch, caplog):
    made(cloudwatch, "/shown", "job/algo-1")
    put(cloudwatch, "/shown", "job/algo-1", "epoch 1/1 step 3/7 at 100 %s")

    with caplog.at_level("INFO", logger="tasks.adapters.logs"):
        logs.follow(cloudwatch, logs.Tail("/shown", "job/"))

    assert caplog.messages == ["epoch 1/1 step 3/7 at 100 %s"]


def test_words_that_come_after_the_end_of_a_job_are_awaited(cloudwatch, monkeypatch):
    made(cloudwatch, "/late", "job/algo-1")
    tail = logs.Tail("/late", "job/")
    late = iter([(), ("Traceback",), ("no such label", "bye"), (), ("nobody waits for this",)])
    arrives = partial(put, cloudwatch, "/late", "job/algo-1")
    monkeypatch.setattr(logs, "sleep", lambda _: arrives(*next(late)))

    logs.follow_to_end(cloudwatch, tail)

    assert tail.last == ["Traceback", "no such label", "bye"]
    assert list(late) == [("nobody waits for this",)]


def test_a_job_that_says_nothing_is_not_listened_to_for_ever(cloudwatch, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(logs, "sleep", pauses.append)

    logs.follow_to_end(cloudwatch, logs.Tail("/silent", "job/"))

    assert pauses == [logs._LATE_S] * logs._LOOKS


def test_a_throttled_look_loses_no_line(cloudwatch, sandbox):
    made(cloudwatch, "/throttled", "job/algo-1")
    put(cloudwatch, "/throttled", "job/algo-1", "one", "two")
    sandbox.fault(service="logs", action="GetLogEvents", kind="throttle", times=1)

    assert logs.read(cloudwatch, logs.Tail("/throttled", "job/")) == ["one", "two"]
    sandbox.clear_faults()
