"""The automations of prefect.yaml on the Prefect server, found again by their names."""

from typing import Any

from prefect.client.orchestration import get_client
from prefect.events.schemas.automations import Automation, AutomationCore


def ensure(told: list[dict[str, Any]]) -> None:
    """Each is there as it was told. One that did not change is let alone: it may be counting."""
    with get_client(sync_client=True) as client:
        for one in told:
            wanted = AutomationCore.model_validate(one)
            there = client.read_automations_by_name(wanted.name)
            if not there:
                client.create_automation(wanted)
            elif not _same(there[0], wanted):
                client.update_automation(there[0].id, wanted)


def _same(there: Automation, wanted: AutomationCore) -> bool:
    return AutomationCore.model_validate(there.model_dump()) == wanted
