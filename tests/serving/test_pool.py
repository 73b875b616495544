"""The queue before real model processes."""

import asyncio
import signal
import time

import pytest

from serving import pool
from serving.backlog import Classified
from serving.contract import Refusal
from training.bundle import Classifier


@pytest.fixture(scope="module")
def live_pool(live_pools):
    (one,) = live_pools({"max_queue": 40, "batch_size": 4, "model_timeout_s": 60})
    return one


@pytest.fixture
def stopped(live_pool, monkeypatch):
    """The pool while its process stands still, and is not killed for it on a slow machine."""
    monkeypatch.setattr(pool, "_HANGS_S", 120)
    live_pool.signal(signal.SIGSTOP)
    yield live_pool
    live_pool.signal(signal.SIGCONT)
    live_pool.run(live_pool.ask("goal"))


def test_answers_come_in_the_order_of_the_texts_and_are_those_of_the_classifier(live_pool, served):
    texts = [f"{'oil price ' * (number % 7)}team {number}" for number in range(50)]

    async def ask() -> Classified:
        soon = time.monotonic() + 60
        return await live_pool.pool.classify(texts, deadline=soon, gone=lambda: False)

    done = live_pool.run(ask())

    wanted = Classifier.load(served).predict(texts)
    assert [one.label for one in done.answers] == [one.label for one in wanted]
    for found, right in zip(done.answers, wanted, strict=True):
        assert found.probabilities == pytest.approx(right.probabilities, abs=0.02)
    assert min(done.queue_s, done.tokenize_s, done.infer_s) > 0


def test_past_the_queue_a_request_is_refused_at_once_and_told_when_to_come_again(stopped):
    async def crowd() -> tuple[float, Refusal, list[object]]:
        goals = [f"goal {n}" for n in range(50)]
        waiting = [asyncio.ensure_future(stopped.ask(text, within_s=300)) for text in goals]
        await asyncio.sleep(0.2)
        began = time.monotonic()
        refusal = await stopped.ask("one too many", within_s=300)
        took = time.monotonic() - began
        stopped.signal(signal.SIGCONT)
        return took, refusal, await asyncio.gather(*waiting)

    took, refusal, outcomes = stopped.run(crowd())

    assert (refusal.status, refusal.error) == (503, "overloaded")
    assert int(refusal.headers["Retry-After"]) >= 1
    assert int(refusal.headers["retry-after-ms"]) > 0
    assert took < 5  # the others may wait for 300
    answered = [one for one in outcomes if isinstance(one, Classified)]
    assert 40 <= len(answered) <= 48  # the queue and at most two batches of four
    assert "one too many" not in stopped.computed()


def test_a_deadline_is_kept_even_when_the_process_never_answers(stopped):
    began = time.monotonic()

    outcomes = stopped.run(stopped.ask_all([f"late {n}" for n in range(20)], within_s=3))

    assert {one.status for one in outcomes} == {504}
    assert 3 <= time.monotonic() - began < 30  # the process is given twice as long
    stopped.signal(signal.SIGCONT)
    stopped.run(stopped.ask("now"))
    begun = [text for text in stopped.computed() if text.startswith("late")]
    assert len(begun) <= 8  # what the process held already


def test_queued_work_whose_callers_have_left_is_never_computed(stopped):
    async def leave() -> list[object]:
        held = [asyncio.ensure_future(stopped.ask(f"held {n}")) for n in range(8)]
        left = asyncio.ensure_future(stopped.ask_all([f"left {n}" for n in range(30)], gone=True))
        outcomes = await left
        stopped.signal(signal.SIGCONT)
        await asyncio.gather(*held)
        await stopped.ask("next")
        return outcomes

    outcomes = stopped.run(leave())

    assert {one.status for one in outcomes} == {499}
    assert [text for text in stopped.computed() if text.startswith("left")] == []


def test_what_cannot_be_done_by_the_deadline_is_refused_before_it_waits(stopped):
    async def hurry() -> Refusal:
        waiting = [asyncio.ensure_future(stopped.ask("team " * 30)) for _ in range(30)]
        await asyncio.sleep(0)
        refusal = await stopped.ask("goal", within_s=0.0005)
        stopped.signal(signal.SIGCONT)
        await asyncio.gather(*waiting)
        return refusal

    refusal = stopped.run(hurry())

    assert (refusal.status, refusal.error) == (503, "overloaded")


def test_a_pool_that_drains_answers_what_it_has_and_takes_no_more(live_pools):
    (one,) = live_pools({})

    async def drain() -> tuple[list[object], object]:
        waiting = [asyncio.ensure_future(one.ask(f"goal {n}")) for n in range(50)]
        await asyncio.sleep(0)
        await one.pool.drain(30)
        return await asyncio.gather(*waiting), await one.ask("too late")

    outcomes, late = one.run(drain())

    assert all(isinstance(outcome, Classified) for outcome in outcomes)
    assert (late.status, late.error) == (503, "draining")
    assert not one.pool.ready
