"""Start a deployment and print its log while it runs, its sub-flows' included."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterStartTime,
    LogFilter,
    LogFilterFlowRunId,
    LogFilterTimestamp,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort, LogSort
from prefect.settings import get_current_settings

# A log line arrives in a batch, up to this much after it was written.
LATE_S = 15
PAGE = 200


class Log:
    """The lines of one run that were not printed yet."""

    def __init__(self, client: PrefectClient, run_id: UUID) -> None:
        self.client = client
        self.run_id = run_id
        self.begun: set[str] = set()
        self.printed: set[UUID] = set()
        self.newest = datetime.now(UTC)

    async def print_new(self) -> None:
        parent = FlowRunFilterParentFlowRunId(any_=[self.run_id])
        children = await self.client.read_flow_runs(
            flow_run_filter=FlowRunFilter(parent_flow_run_id=parent)
        )
        self.begun = {run.name for run in children}
        wanted = LogFilter(
            flow_run_id=LogFilterFlowRunId(any_=[self.run_id, *(run.id for run in children)]),
            timestamp=LogFilterTimestamp(after_=self.newest - timedelta(seconds=LATE_S)),
        )
        logs = await self.client.read_logs(wanted, limit=PAGE, sort=LogSort.TIMESTAMP_ASC)
        for log in logs:
            if log.id in self.printed:
                continue
            self.printed.add(log.id)
            self.newest = max(self.newest, log.timestamp)
            # That each of some forty steps completed is for the page of the run.
            if log.name != "prefect.task_runs" or log.level > logging.INFO:
                print(f"{log.timestamp.astimezone():%H:%M:%S}  {log.message}", flush=True)


def page(run: FlowRun) -> str:
    """The run's page in Prefect's UI."""
    server = str(get_current_settings().api.url).removesuffix("/api")
    return f"{server}/runs/flow-run/{run.id}"


async def run_and_print(deployment: str, parameters: dict[str, Any], limit_s: float) -> FlowRun:
    """The run at its end, or as it stood when the limit was reached."""
    async with get_client() as client:
        found = await client.read_deployment_by_name(deployment)
        run = await client.create_flow_run_from_deployment(found.id, parameters=parameters)
        return await _printed(client, run, limit_s)


async def started(deployment: str, since: datetime, limit_s: float) -> FlowRun | None:
    """The first run of a deployment that began after `since` and that somebody else asked for."""
    async with get_client() as client:
        found = await client.read_deployment_by_name(deployment)
        wanted = FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[found.id]),
            start_time=FlowRunFilterStartTime(after_=since),
        )
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            runs = await client.read_flow_runs(
                flow_run_filter=wanted, sort=FlowRunSort.START_TIME_ASC, limit=1
            )
            # The server counts a run that is only scheduled as started when it is due.
            if runs and runs[0].start_time:
                return runs[0]
            await asyncio.sleep(0.5)
        return None


async def print_on(
    run: FlowRun, limit_s: float, step: str, at_step: Callable[[], object]
) -> FlowRun:
    """Print what a run that is under way logs; the run at its end, or at the limit.

    `at_step` is called once, when the sub-flow that is named `step` has begun.
    """
    async with get_client() as client:
        return await _printed(client, run, limit_s, step, at_step)


async def _printed(
    client: PrefectClient,
    run: FlowRun,
    limit_s: float,
    step: str = "",
    at_step: Callable[[], object] | None = None,
) -> FlowRun:
    log = Log(client, run.id)
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline and not (run.state and run.state.is_final()):
        await asyncio.sleep(1)
        await log.print_new()
        if at_step and step in log.begun:
            at_step()
            at_step = None
        run = await client.read_flow_run(run.id)
    await asyncio.sleep(3)
    await log.print_new()
    return run
