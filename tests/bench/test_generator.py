import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress

import pytest

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


class Echo:
    """A server that answers what `reply` says; `None` hangs up."""

    def __init__(self, reply: Callable[[int], bytes | None], stall: tuple[int, float]) -> None:
        self.asked, self.reply, self.stall = 0, reply, stall
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(asyncio.start_server(self.talk, "127.0.0.1", 0))
        self.port = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError), closing(writer):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.rsplit(b": ", 1)[1]))
                self.asked += 1
                if self.asked == self.stall[0]:
                    time.sleep(self.stall[1])  # the whole server, as a pause of its process is
                if (answer := self.reply(self.asked)) is None:
                    return
                writer.write(answer)

    def close(self) -> None:
        async def end() -> None:
            self.server.close()
            if talks := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(talks, timeout=10)  # the callers have left
            await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(end(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def echo():
    made = []

    def start(reply=lambda number: ANSWER, stall=(0, 0.0)):
        made.append(Echo(reply, stall))
        return made[-1]

    yield start
    for one in made:
        one.close()


def load(server: Echo, **phase):
    wanted = {
        "port": server.port,
        "path": "/",
        "bodies": ["one", "two"],
        "pid": os.getpid(),
        "warm_s": 0.1,
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.generator"],
        input=json.dumps({**wanted, "drain_s": 5, **phase}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


def test_closed_loop_asks_again_when_answered_and_never_more_than_its_connections(echo):
    server = echo()

    found = load(server, seconds=0.5, connections=3)

    assert set(found["statuses"]) == {"200"}
    assert len(found["latencies"]) == found["statuses"]["200"] > 3
    assert found["answers"] == {"0": "ok", "1": "ok"}
    assert found["done_in_window"] <= server.asked


def test_open_loop_counts_a_pause_for_everyone_who_was_due_in_it(echo):
    server = echo(stall=(60, 0.5))

    found = load(server, seconds=1.5, rate=100)

    delayed = [us for us in found["latencies"] if us > 100_000]
    assert len(delayed) > 15  # some 50 fall due in the pause
    assert 75 < found["statuses"]["200"] < 225


def test_refusals_and_lost_connections_are_no_answers(echo):
    server = echo(lambda number: (ANSWER, BUSY, None)[number % 3])

    found = load(server, seconds=0.5, connections=2)

    assert set(found["statuses"]) == {"200", "503", "lost"}
    assert len(found["latencies"]) == found["statuses"]["200"]


def test_once_ends_when_every_text_was_sent(echo):
    server = echo()

    found = load(server, seconds=30, connections=1, once=True)

    assert server.asked == 2
    assert found["seconds"] < 20


def test_window_of_a_slow_server_ends_later(echo):
    server = echo(stall=(1, 1.5))

    found = load(server, seconds=1, connections=1)

    assert found["seconds"] > 1.5
    assert found["statuses"]["200"] > 3
