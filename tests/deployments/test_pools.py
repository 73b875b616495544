import asyncio

import pytest
from prefect.client.orchestration import get_client

from deployments.apply import POOL, ensure_pool

ENVIRONMENT = {"PERENNIAL_ENVIRONMENT": "test"}


async def read_again(kind):
    await ensure_pool(kind, ENVIRONMENT)
    await ensure_pool(kind, {**ENVIRONMENT, "PERENNIAL_GIT_SHA": "abc"})
    async with get_client() as client:
        pool = await client.read_work_pool(POOL)
        await client.delete_work_pool(POOL)
    return pool


@pytest.mark.parametrize("kind", ["process", "ecs"])
def test_a_pool_is_made_once_and_gives_every_run_the_newest_environment(prefect_server, kind):
    pool = asyncio.run(read_again(kind))

    variables = pool.base_job_template["variables"]["properties"]
    assert pool.type == kind
    assert variables["env"]["default"] == {**ENVIRONMENT, "PERENNIAL_GIT_SHA": "abc"}
