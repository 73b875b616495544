"""More than the model can do: what is let in is answered, the rest is told so at once."""

import asyncio
from itertools import pairwise

import httpx
import psutil
import pytest
from plugins.load import Load

HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def load(bounded):
    """Callers whose requests are heavy, so that they themselves cost little."""
    return Load(bounded.url, texts=32, deadline_ms=2000)


async def capacity(load: Load) -> float:
    """Answers a second when no more ask than are answered."""
    return (await load.closed_loop(8, seconds=1.5)).goodput


def test_overload_costs_no_goodput_and_is_told_at_once(load, bounded):
    front = psutil.Process(bounded.process.pid)
    memory = front.memory_info().rss

    async def flood(times: float, usual: float):
        return await asyncio.gather(
            load.open_loop(times * usual, seconds=2.5),
            load.open_loop(10, seconds=2.5, make=lambda: HEALTH),
        )

    async def rounds():
        usual = [await capacity(load)]
        seen = []
        for times in (2, 5):
            seen.append(await flood(times, usual[-1]))
            usual.append(await capacity(load))  # normal again, and what the machine has just now
        return seen, usual

    seen, usual = asyncio.run(rounds())

    told = [(one.statuses, one.goodput) for one, _ in seen], usual
    for (one, health), least in zip(seen, map(min, pairwise(usual)), strict=True):
        assert set(one.statuses) <= {200, 503, 504}, told
        assert one.goodput > 0.6 * least, told  # 0.9 and more on a quiet machine
        assert one.percentile(0.99, 200) < 2.5
        assert one.percentile(0.5, 503) < 0.25
        assert health.percentile(0.9) < 0.5
        assert len(one.hints) == one.statuses[503]
    assert seen[1][0].statuses[503] > seen[1][0].statuses[504]
    assert front.memory_info().rss - memory < 50 * MEBIBYTE
    metrics = httpx.get(f"{bounded.url}/metrics").text
    assert 'mlops_requests_refused_total{error="overloaded"}' in metrics
