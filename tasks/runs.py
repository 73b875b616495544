"""Flow runs as Prefect knows them: what became of one, and starting one exactly once."""

import logging
import re
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

from tasks.errors import NotFound
from tasks.policy.recovery import Fate

log = logging.getLogger(__name__)

_HOLDER = re.compile(r"flow run ([0-9a-f-]{36}) attempt \d+")


def fate(holder: str) -> Fate:
    """Whether the run that the journal names may still be at work.

    Crashed is not proof of death: who acts on OVER has to fence that run out by the journal.
    """
    if not (named := _HOLDER.fullmatch(holder)):
        return Fate.UNKNOWN
    try:
        with get_client(sync_client=True) as client:
            return _fate(client, UUID(named[1]))
    except (ObjectNotFound, httpx.HTTPError) as error:
        log.warning("Prefect cannot tell what became of %s: %s", holder, error)
        return Fate.UNKNOWN


def start(deployment: str, parameters: dict[str, object], key: str) -> FlowRun:
    """The run of the deployment that was asked for with this key; asking again is asking once."""
    try:
        run = run_deployment(
            deployment, parameters=parameters, idempotency_key=key, timeout=0, as_subflow=False
        )
    except ObjectNotFound as error:
        raise NotFound(f"Prefect has no deployment {deployment}: run make deploy") from error
    assert isinstance(run, FlowRun)  # not in a coroutine here
    return run


def _fate(client: SyncPrefectClient, run_id: UUID) -> Fate:
    """A sub-flow dies with its parent's process, and nobody sets its state then."""
    while True:
        run = client.read_flow_run(run_id)
        if _ended(run.state):
            return Fate.OVER
        if run.parent_task_run_id is None or run.deployment_id is not None:
            return Fate.ALIVE
        parent = client.read_task_run(run.parent_task_run_id).flow_run_id
        if parent is None:
            return Fate.ALIVE
        run_id = parent


def _ended(state: State | None) -> bool:
    return state is not None and state.is_final()
