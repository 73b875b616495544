"""How often a caller is let in, in one process and in several."""

import asyncio
import logging
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from plugins.clocks import Clock

from serving import limits
from serving.errors import CannotStart
from serving.limits import Limits, LocalStore, RedisStore, Rule

MINUTE = (Rule(100, 60),)


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(limits, "time", clock := Clock())
    return clock


def test_of_a_thousand_at_once_a_hundred_are_admitted_and_the_rest_are_told_when(clock):
    store = LocalStore()

    taken = [store.take("alice", MINUTE) for _ in range(1000)]

    assert [one.wait_s > 0 for one in taken] == [False] * 100 + [True] * 900
    assert [one.remaining for one in taken[:3]] == [99, 98, 97]
    assert taken[-1].wait_s == 60
    assert dict(taken[-1].headers())[b"retry-after"] == b"60"


def test_a_burst_is_bounded_by_the_second_and_the_minute_goes_on(clock):
    store = LocalStore()
    rules = (Rule(100, 60), Rule(10, 1))

    first = sum(store.take("1.2.3.4", rules).wait_s == 0 for _ in range(50))
    wait = store.take("1.2.3.4", rules).wait_s
    clock.now += wait / 2
    between = store.take("1.2.3.4", rules)
    clock.now += wait / 2
    second = [store.take("1.2.3.4", rules) for _ in range(50)]

    assert (first, sum(one.wait_s == 0 for one in second)) == (10, 10)
    assert (wait, between.wait_s, between.remaining) == (1, 0.5, 90)
    assert second[-1].remaining == 80


def test_one_callers_requests_are_not_anothers():
    store = LocalStore()
    for _ in range(200):
        store.take("alice", MINUTE)

    assert store.take("bob", MINUTE).remaining == 99


def test_callers_who_left_take_no_memory_and_those_who_stay_keep_their_count():
    store = LocalStore(turn_s=0)
    for _ in range(100):
        store.take("alice", MINUTE)

    for stranger in range(1000):
        store.take(f"stranger {stranger}", MINUTE)
        refused = store.take("alice", MINUTE).wait_s > 0
        assert refused
    assert len(store._young) + len(store._old) <= 3


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    if not (program := shutil.which("redis-server")):
        pytest.skip("redis-server is missing: apt-get install redis-server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            break
        time.sleep(0.05)
    yield f"redis://127.0.0.1:{port}/0"
    process.kill()
    process.wait()


ASK = """
import asyncio, sys
from serving.limits import Limits, RedisStore, Rule

async def main():
    limits = Limits(RedisStore(sys.argv[1], "test:", call_s=30))
    rules = (Rule(100, 3600), Rule(100, 1))
    admitted = 0
    for _ in range(25):
        taken = await asyncio.gather(*(limits.take("alice", rules) for _ in range(10)))
        admitted += sum(one.wait_s == 0 for one in taken)
    print(admitted, limits.fallbacks)
    await limits.shared.close()

asyncio.run(main())
"""


def test_four_processes_share_one_limit_through_redis(redis_url):
    command = [sys.executable, "-c", ASK, redis_url]

    asking = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = [process.communicate()[0].split() for process in asking]

    assert [fallbacks for _, fallbacks in answers] == ["0"] * 4
    assert sum(int(admitted) for admitted, _ in answers) == 100


def test_redis_tells_the_same_as_the_local_store(redis_url):
    rules = (Rule(5, 600), Rule(3, 300))

    async def ask():
        shared = RedisStore(redis_url, "same:", call_s=30)
        taken = [await shared.take("bob", rules) for _ in range(4)]
        await shared.close()
        return taken

    local = LocalStore()
    for theirs, ours in zip(
        asyncio.run(ask()), [local.take("bob", rules) for _ in range(4)], strict=True
    ):
        assert (theirs.limit, theirs.remaining) == (ours.limit, ours.remaining)
        assert (theirs.wait_s > 0) == (ours.wait_s > 0)
        assert theirs.reset_s == pytest.approx(ours.reset_s, abs=5)


def test_without_redis_each_server_limits_by_itself_says_so_once_and_loses_no_time(caplog):
    caplog.set_level(logging.INFO, "serving.limits")

    async def ask():
        # Bound and not listening: nobody else can answer there.
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
            alone = Limits(RedisStore(f"redis://:hidden@127.0.0.1:{port}", "test:"))
            admitted = [(await alone.take("alice", MINUTE)).wait_s == 0 for _ in range(1000)]
            await alone.shared.close()
        return alone.fallbacks, admitted

    fallbacks, admitted = asyncio.run(ask())

    assert sum(admitted) == 100
    assert fallbacks == 1000
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "hidden" not in caplog.text


def test_a_url_that_is_none_stops_the_server_without_showing_its_password():
    with pytest.raises(CannotStart, match="REDIS_URL: ") as refused:
        RedisStore("http://:hidden@redis", "test:")

    assert "hidden" not in str(refused.value)
