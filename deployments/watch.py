"""Start a deployment and print its log while it runs, its sub-flows' included."""

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    LogFilter,
    LogFilterFlowRunId,
    LogFilterTimestamp,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import LogSort

# A log line arrives in a batch, up to this much after it was written.
LATE_S = 15
PAGE = 200


class Log:
    """The lines of one run that were not printed yet."""

    def __init__(self, client: PrefectClient, run_id: UUID) -> None:
        self.client = client
        self.run_id = run_id
        self.printed: set[UUID] = set()
        self.newest = datetime.now(UTC)

    async def print_new(self) -> None:
        parent = FlowRunFilterParentFlowRunId(any_=[self.run_id])
        children = await self.client.read_flow_runs(
            flow_run_filter=FlowRunFilter(parent_flow_run_id=parent)
        )
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


async def run_and_print(deployment: str, parameters: dict[str, Any], limit_s: float) -> FlowRun:
    """The run at its end, or as it stood when the limit was reached."""
    async with get_client() as client:
        found = await client.read_deployment_by_name(deployment)
        run = await client.create_flow_run_from_deployment(found.id, parameters=parameters)
        log = Log(client, run.id)
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline and not (run.state and run.state.is_final()):
            await asyncio.sleep(1)
            await log.print_new()
            run = await client.read_flow_run(run.id)
        await asyncio.sleep(3)
        await log.print_new()
        return run
