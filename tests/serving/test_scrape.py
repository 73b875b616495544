import asyncio
import socket
from collections.abc import Iterator

import httpx
import pytest
from plugins.held_ports import hold_port

from serving import scrape
from serving.endpoint import Endpoint
from serving.errors import CannotStart
from serving.settings import ServingSettings


@pytest.fixture
def port() -> Iterator[int]:
    with hold_port() as held:
        yield held.getsockname()[1]


def test_the_port_of_its_own_answers_metrics_and_nothing_else(port):
    async def ask() -> list[tuple[int, str]]:
        async with (
            scrape.listening(lambda: b"up 1\n", "127.0.0.1", port),
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
        ):
            answers = [await client.get("/metrics"), await client.post("/predict", json={})]
            return [(answer.status_code, answer.text) for answer in answers]

    assert asyncio.run(ask()) == [(200, "up 1\n"), (404, "only GET /metrics is here")]


def test_the_port_is_free_again_afterwards(port):
    async def twice() -> None:
        for _ in range(2):
            async with scrape.listening(lambda: b"", "127.0.0.1", port):
                pass

    asyncio.run(twice())


def test_a_port_that_is_taken_is_told(port):
    async def listen() -> None:
        async with scrape.listening(lambda: b"", "127.0.0.1", port):
            pass

    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(CannotStart, match=f"cannot listen on 127.0.0.1:{port}"),
    ):
        asyncio.run(listen())


@pytest.mark.parametrize(
    ("variables", "there"),
    [({}, True), ({"prometheus_port": 9090}, False), ({"enable_metrics": False}, False)],
)
def test_metrics_are_beside_the_predictions_only_when_not_elsewhere(served, variables, there):
    endpoint = Endpoint(ServingSettings(model_path=served, auth="off", **variables))

    assert ("/metrics" in endpoint.app.openapi()["paths"]) is there
