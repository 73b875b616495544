import asyncio
import time

import pytest

from serving.backlog import Backlog, Job
from serving.contract import Answer, Refusal


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def waiting(loop):
    """A backlog, and what puts a request of some texts into it."""
    backlog = Backlog()

    def add(*texts: str, within_s: float = 60, gone: bool = False, alone: bool = False) -> Job:
        deadline = time.monotonic() + within_s
        left = len(texts)
        job = Job(loop.create_future(), deadline, lambda: gone, alone, left, [None] * left)
        backlog.add(job, texts)
        return job

    return backlog, add


def texts_of(batch) -> list[str]:
    return [one.text for one in batch]


def test_the_oldest_is_taken_with_those_that_are_most_like_it_in_length(waiting):
    backlog, add = waiting
    for text in ("a" * 10, "b" * 900, "c" * 12, "d" * 1000, "e" * 11):
        add(text)

    batches = [texts_of(backlog.take(3, 8000)) for _ in range(2)]

    assert [sorted(text[0] for text in batch) for batch in batches] == [["a", "c", "e"], ["b", "d"]]
    assert (len(backlog), backlog.cost) == (0, 0)


def test_no_text_waits_for_ever_however_many_come_that_are_unlike_it(waiting):
    backlog, add = waiting
    add("short")
    add("l" * 3000)
    for _ in range(20):
        add("short")

    taken = [texts_of(backlog.take(4, 4000)) for _ in range(2)]

    assert "l" * 3000 not in taken[0]
    assert "l" * 3000 in taken[1]


def test_a_batch_is_bounded_in_texts_and_in_cost(waiting):
    backlog, add = waiting
    for _ in range(10):
        add("x" * 976)  # and 24 that every text costs

    assert len(backlog.take(32, 4000)) == 4
    assert len(backlog.take(3, 4000)) == 3
    assert len(backlog.take(32, 1)) == 1
    assert backlog.cost == 2 * 1000


def test_who_has_left_and_who_is_too_late_is_skipped_and_told(waiting):
    backlog, add = waiting
    left, late, there = add("left", gone=True), add("late", within_s=0), add("there")

    assert texts_of(backlog.take(32, 8000)) == ["there"]
    assert [job.future.exception().status for job in (left, late)] == [499, 504]
    assert not there.over
    assert backlog.cost == 0


def test_a_suspect_is_taken_alone(waiting):
    backlog, add = waiting
    add("one")
    add("suspect", alone=True)
    add("two")

    assert texts_of(backlog.take(32, 8000)) == ["one", "two"]
    assert backlog.next_alone()
    assert texts_of(backlog.take(32, 8000)) == ["suspect"]


def test_what_is_put_back_comes_first_and_in_its_order(waiting):
    backlog, add = waiting
    add("one", "two")
    batch = backlog.take(32, 8000)
    add("three")

    backlog.put_back(batch, alone=True)

    assert [texts_of(backlog.take(32, 8000)) for _ in range(3)] == [["one"], ["two"], ["three"]]


def test_a_request_is_answered_when_its_last_text_is(waiting):
    _, add = waiting
    job = add("one", "two")
    answers = [Answer(label, 1.0, (1.0,), truncated=False) for label in ("a", "b")]

    job.answer(1, answers[1])
    assert not job.over
    job.answer(0, answers[0])

    assert job.future.result().answers == answers


def test_an_answer_after_the_refusal_changes_nothing(waiting):
    _, add = waiting
    job = add("one")
    job.refuse(Refusal(504, "deadline_exceeded", "late"))

    job.answer(0, Answer("a", 1.0, (1.0,), truncated=False))

    assert job.future.exception().status == 504
