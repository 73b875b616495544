"""The word of a person that some environments ask for before callers get a new version."""

import logging
from datetime import UTC, datetime

from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from pydantic import Field

from tasks.errors import GateFailed
from tasks.records import Served
from tasks.settings import Settings

log = logging.getLogger(__name__)

_SPARE = 15.0


class Decision(RunInput):
    """The form that the Prefect UI shows at a run that waits."""

    approved: bool = Field(description="whether callers may get this version")
    by: str = Field(min_length=1, description="who decides")
    why: str = Field(min_length=1, description="kept in the ledger")


def minutes(settings: Settings) -> float:
    """How long the release may stand still for it."""
    return settings.approval_minutes + _SPARE if settings.approval == "approve" else _SPARE


def ask(settings: Settings, wanted: Served, why: str) -> str:
    """Who lets the version out and why; GateFailed when nobody does. Silence means no."""
    gate = f"approval of version {wanted.version}"
    if settings.approval == "auto":
        return why
    if settings.approval == "never":
        told = "this environment takes no releases (PERENNIAL_APPROVAL=never)"
        raise GateFailed(gate, (told,))
    longest = settings.approval_minutes
    log.warning("version %s waits for approval, at most %g minutes", wanted.version, longest)
    form = Decision.with_initial_data(description=f"Version {wanted.version} passed: {why}")
    try:
        decision = pause_flow_run(
            wait_for_input=form, timeout=max(1, round(60 * longest)), poll_interval=5
        )
    except FlowPauseTimeout as late:
        silent = (f"nobody answered in {longest:g} minutes, and silence means no",)
        raise GateFailed(gate, silent) from late
    at = datetime.now(UTC).isoformat(timespec="seconds")
    told = f"{decision.by} at {at}: {decision.why}"
    if not decision.approved:
        raise GateFailed(gate, (f"refused by {told}",))
    return f"approved by {told}"
