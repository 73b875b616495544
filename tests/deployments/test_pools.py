import asyncio

import pytest
from prefect.client.orchestration import get_client

from deployments.apply import POOL, ensure_pool


async def twice(kind):
    await ensure_pool(kind)
    await ensure_pool(kind)
    async with get_client() as client:
        pool = await client.read_work_pool(POOL)
        await client.delete_work_pool(POOL)
    return pool


@pytest.mark.parametrize("kind", ["process", "ecs"])
def test_a_pool_is_made_once(prefect_server, kind):
    pool = asyncio.run(twice(kind))

    variables = pool.base_job_template["variables"]["properties"]
    assert pool.type == kind
    assert "env" in variables
