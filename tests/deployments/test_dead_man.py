"""That nobody looks any more is found out: what prefect.yaml waits for, and for how long."""

from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger

from deployments.apply import full_name
from tasks.policy.health import DRIFT_CHECKS

FILE = yaml.safe_load((Path(__file__).parents[2] / "prefect.yaml").read_text("utf-8"))
DEPLOYMENTS = {full_name(one): one for one in FILE["deployments"]}
TRIGGERS = {
    one["match_related"]["prefect.resource.name"]: DeploymentEventTrigger.model_validate(one)
    for one in DEPLOYMENTS["health/every-5-minutes"]["triggers"]
}


def test_health_looks_every_five_minutes_and_never_twice_at_once():
    health = DEPLOYMENTS["health/every-5-minutes"]

    assert [one["cron"] for one in health["schedules"]] == ["*/5 * * * *"]
    assert health["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}


@pytest.mark.parametrize(
    ("flow", "within", "ends"),
    [
        ("health", timedelta(minutes=10), {"Completed"}),
        ("drift-check", DRIFT_CHECKS, {"OK", "SUSPECTED", "DETECTED", "NO_DATA"}),
    ],
)
def test_a_flow_that_did_not_end_for_two_intervals_is_missed(flow, within, ends):
    trigger = TRIGGERS[flow]

    assert trigger.posture.value == "Proactive"
    assert trigger.expect == {f"prefect.flow-run.{state}" for state in ends}
    assert (trigger.threshold, trigger.within) == (1, within)
