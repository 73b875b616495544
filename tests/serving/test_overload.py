"""More than the model can do: what is let in is answered, the rest is told so at once.

How much is answered meanwhile is for bench.serving to say: here other work shares the machine.
"""

import asyncio

import httpx
import psutil
import pytest
from plugins.load import Load

HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
MEBIBYTE = 2**20
TEXTS = 32


@pytest.fixture(scope="module")
def load(bounded):
    """Callers whose requests are heavy: the model is slower than they and the front are."""
    return Load(bounded.url, texts=TEXTS, word="slow")


def computed(bounded) -> int:
    with bounded.computed.open() as lines:
        return sum(1 for _ in lines)


def test_overload_costs_no_work_and_is_told_at_once(load, bounded):
    front = psutil.Process(bounded.process.pid)
    hurried = Load(bounded.url, TEXTS, deadline_ms=2000, word="slow")
    memory, before = front.memory_info().rss, computed(bounded)

    async def rounds():
        usual = await load.closed_loop(8, seconds=1.5)
        flood, health = await asyncio.gather(
            hurried.closed_loop(100, seconds=4, pause_s=0.2),
            load.open_loop(10, seconds=4, make=lambda: HEALTH),
        )
        return usual, flood, health, await load.closed_loop(8, seconds=1.5)

    usual, flood, health, after = asyncio.run(rounds())

    told = [one.statuses for one in (usual, flood, health, after)]
    assert set(flood.statuses) <= {200, 503, 504}, told
    assert flood.statuses[503] > flood.statuses[504], told
    assert len(flood.hints) == flood.statuses[503]
    assert flood.percentile(0.5, 503) < flood.percentile(0.5, 200)
    assert flood.goodput > 0.1 * min(usual.goodput, after.goodput), told
    assert set(health.statuses) == set(usual.statuses) == set(after.statuses) == {200}, told
    answered = TEXTS * sum(one.statuses[200] for one in (usual, flood, after))
    assert answered <= computed(bounded) - before < 1.25 * answered, told
    assert front.memory_info().rss - memory < 50 * MEBIBYTE
    metrics = httpx.get(f"{bounded.url}/metrics").text
    assert 'mlops_requests_refused_total{error="overloaded"}' in metrics
