"""Model processes that die, hang, exit and raise: nobody waits for them, and they come back."""

import asyncio
import os
import resource
import signal
import time
from pathlib import Path

import pytest

from serving import model_process
from serving.backlog import Classified
from serving.pool import Pool

PATIENT_S = 300  # until a process has been replaced on a busy machine


@pytest.fixture(scope="module")
def fresh(live_pools):
    """Pools that are to be broken, started at once because each takes long."""
    names = ("killed", "poisoned", "still", "pair")
    options = ({}, {}, {"model_timeout_s": 3}, {"api_workers": 2})
    return dict(zip(names, live_pools(*options), strict=True))


async def until(true) -> None:
    async with asyncio.timeout(PATIENT_S):
        while not true():
            await asyncio.sleep(0.02)


async def closed_loop(live_pool, callers: int, until: asyncio.Event) -> list[object]:
    """What callers get who each ask again as soon as they are answered."""
    outcomes = []

    async def caller(number: int) -> None:
        asked = 0
        while not until.is_set():
            asked += 1
            outcomes.append(await live_pool.ask(f"goal {number} {asked}", PATIENT_S))
            await asyncio.sleep(0.002)

    await asyncio.gather(*map(caller, range(callers)))
    return outcomes


def test_killed_under_load_each_request_is_answered_and_the_process_replaced(fresh):
    live_pool = fresh["killed"]

    ready: list[bool] = []
    live_pool.pool.on_change = lambda: ready.append(live_pool.pool.ready)

    async def kill_twice() -> list[object]:
        over = asyncio.Event()
        load = asyncio.ensure_future(closed_loop(live_pool, 20, over))
        for changes in (2, 4):
            await asyncio.sleep(0.3)
            live_pool.signal(signal.SIGKILL)
            await until(lambda wanted=changes: len(ready) >= wanted)
        await asyncio.sleep(0.5)
        over.set()
        return await load

    outcomes = live_pool.run(kill_twice())

    refused = [one for one in outcomes if not isinstance(one, Classified)]
    assert {(one.status, one.error) for one in refused} <= {(503, "failed")}
    assert len(refused) <= 40  # at most what the process held each time
    assert ready == [False, True] * 2
    assert live_pool.pool.restarts == 2


def test_a_text_that_ends_its_process_twice_is_refused_and_others_are_answered(fresh):
    live_pool = fresh["poisoned"]

    async def poison() -> tuple[list[object], list[object]]:
        over = asyncio.Event()
        load = asyncio.ensure_future(closed_loop(live_pool, 8, over))
        got = [await live_pool.ask("poison", PATIENT_S) for _ in range(4)]
        await live_pool.until_ready(PATIENT_S)
        await asyncio.sleep(1)
        over.set()
        return got, await load

    got, others = live_pool.run(poison())

    # The first caller hears of both ends when the first was while the batch before was computed.
    assert [one.status for one in got] in ([503, 503, 422, 422], [503, 422, 422, 422])
    assert live_pool.computed().count("poison") == 2
    refused = [one for one in others if not isinstance(one, Classified)]
    assert len(refused) <= 8  # who shared the batch, the first time; the second time it was alone


def test_who_came_behind_a_text_that_ends_its_process_is_answered_all_the_same(fresh):
    live_pool = fresh["killed"]

    async def poison() -> list[object]:
        live_pool.signal(signal.SIGSTOP)
        ahead = asyncio.ensure_future(live_pool.ask("poison", PATIENT_S))
        await asyncio.sleep(0.05)
        later = [f"later {n}" for n in range(20)]
        behind = asyncio.ensure_future(live_pool.ask_all(later, within_s=PATIENT_S))
        await asyncio.sleep(0.2)
        live_pool.signal(signal.SIGCONT)
        return [await ahead, *await behind]

    ahead, *behind = live_pool.run(poison())

    assert (ahead.status, ahead.error) == (503, "failed")
    assert all(isinstance(one, Classified) for one in behind)


def test_a_process_that_stands_still_is_replaced_and_the_queue_answered(fresh):
    live_pool = fresh["still"]

    async def stand_still() -> tuple[object, float, list[object]]:
        live_pool.signal(signal.SIGSTOP)
        began = time.monotonic()
        held = asyncio.ensure_future(live_pool.ask("held", PATIENT_S))
        await asyncio.sleep(0.05)
        texts = [f"behind {n}" for n in range(20)]
        behind = asyncio.ensure_future(live_pool.ask_all(texts, within_s=PATIENT_S))
        first = await held
        return first, time.monotonic() - began, await behind

    first, took, behind = live_pool.run(stand_still())

    assert (first.status, first.error) == (503, "failed")
    assert 3 <= took < PATIENT_S / 2
    assert all(isinstance(one, Classified) for one in behind)


def test_only_the_text_that_makes_the_model_raise_is_answered_500(fresh):
    live_pool = fresh["pair"]
    texts = [*(f"fine {n}" for n in range(9)), "raise"]

    outcomes = live_pool.run(live_pool.ask_all(texts))

    assert (outcomes[-1].status, outcomes[-1].error) == (500, "internal_error")
    assert all(isinstance(one, Classified) for one in outcomes[:-1])
    assert live_pool.pool.restarts == 0


def test_a_process_that_exits_within_a_prediction_leaves_the_work_to_the_other(fresh):
    live_pool = fresh["pair"]

    async def exit_once() -> tuple[object, bool, list[object]]:
        first = await live_pool.ask("exit")
        return first, live_pool.pool.ready, await live_pool.ask_all([f"on {n}" for n in range(20)])

    first, ready, others = live_pool.run(exit_once())

    assert (first.status, first.error) == (503, "failed")
    assert ready  # the other one
    assert all(isinstance(one, Classified) for one in others)


def test_a_pool_that_cannot_come_back_says_why_and_refuses(fresh):
    live_pool = fresh["pair"]
    (live_pool.beside / "cannot-start").touch()
    told = []
    live_pool.pool.on_change = lambda: told.append(live_pool.pool.failure)

    async def never_again() -> tuple[list[object], object]:
        live_pool.signal(signal.SIGSTOP)
        texts = [f"goal {n}" for n in range(20)]
        waiting = asyncio.ensure_future(live_pool.ask_all(texts, within_s=PATIENT_S))
        await asyncio.sleep(0.1)
        live_pool.signal(signal.SIGKILL)
        return await waiting, await live_pool.ask("later")

    waiting, later = live_pool.run(never_again())

    assert {(one.status, one.error) for one in [*waiting, later]} == {(503, "failed")}
    assert told[-1] == "cannot start: the model's process ended while it loaded"
    assert not live_pool.pool.ready


def test_a_process_for_which_there_is_no_room_now_is_started_later(rig, monkeypatch, caplog):
    monkeypatch.setattr(model_process, "MODULE", "plugins.quick_worker")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def crowd_out() -> None:
        pool = Pool(rig.settings, rig.bundle("news"), "")
        await pool.start()
        try:
            # From when the end of the process is known.
            pool.on_change = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (4, hard))
            for pid in pool.pids:
                os.kill(pid, signal.SIGKILL)
            await until(lambda: "Too many open files" in caplog.text)
            pool.on_change = lambda: None
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await until(lambda: pool.ready)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            pool.stop()
            await pool.ended()

    asyncio.run(crowd_out())
