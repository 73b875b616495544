"""What Prefect's server does by itself about runs that died: the automations of prefect.yaml."""

from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.events.schemas.automations import AutomationCore
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger

from deployments import automations
from deployments.account import Account
from deployments.apply import full_name
from tasks import runs
from tasks.policy import restarts

ROOT = Path(__file__).parents[2]
FILE = yaml.safe_load((ROOT / "prefect.yaml").read_text("utf-8"))
SILENT, NEVER_BEGAN = (AutomationCore.model_validate(one) for one in FILE["automations"])
(RECONCILE,) = [one for one in FILE["deployments"] if full_name(one) == "reconcile/every-minute"]
CRASHED, LOST = (DeploymentEventTrigger.model_validate(one) for one in RECONCILE["triggers"])
SAYS = ("heartbeat", "Completed", "Failed", "Crashed", "Cancelled")
SAYS_NOTHING = ("*", "Pending", "Submitting", "InfrastructurePending", "Running")


@pytest.fixture
def environment(monkeypatch):
    """What the runs of the deployments find in theirs, whatever the bootstrap stack made."""
    monkeypatch.setattr(Account, "outputs", lambda _: defaultdict(str))
    return Account().job_environment()


def test_a_run_is_lost_after_three_heartbeats_that_did_not_come(environment):
    beat = timedelta(seconds=int(environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]))

    assert 3 * beat < SILENT.trigger.within == runs._SILENCE <= timedelta(minutes=2)
    assert SILENT.trigger.after == {"prefect.flow-run.heartbeat"}
    assert beat < runs._DOUBT


@pytest.mark.parametrize(
    ("automation", "begins"),
    [(SILENT, "prefect.flow-run.heartbeat"), (NEVER_BEGAN, "prefect.flow-run.Pending")],
)
def test_it_ends_for_prefect_under_a_name_that_only_this_gives(automation, begins):
    trigger, (action,) = automation.trigger, automation.actions

    assert (trigger.posture.value, trigger.threshold) == ("Proactive", 1)
    assert trigger.after == {begins}
    assert {f"prefect.flow-run.{name}" for name in SAYS} <= trigger.expect
    assert not {f"prefect.flow-run.{name}" for name in SAYS_NOTHING} & trigger.expect
    assert trigger.for_each == {"prefect.resource.id"}
    assert trigger.within < timedelta(minutes=5)
    assert (action.type, action.state.value) == ("change-flow-run-state", "CRASHED")
    assert (action.name, action.force) == (runs._LOST, False)


def test_every_deployment_has_the_tag_by_which_its_runs_are_watched():
    watched = SILENT.trigger.match_related["prefect.resource.id"]

    assert watched == NEVER_BEGAN.trigger.match_related["prefect.resource.id"]
    assert all([f"prefect.tag.{one['tags'][0]}"] == watched for one in FILE["deployments"])


def test_reconcile_looks_at_once_after_a_crash_and_when_it_may_believe_a_loss():
    flows = {*restarts.FLOWS, "deploy", "rollback"}

    assert {*CRASHED.match_related["prefect.resource.name"]} == flows
    assert LOST.match_related == CRASHED.match_related
    assert CRASHED.expect == {"prefect.flow-run.Crashed"}
    assert LOST.expect == {f"prefect.flow-run.{runs._LOST}"}
    assert timedelta(0) == CRASHED.schedule_after < runs._DOUBT < LOST.schedule_after


def test_an_automation_is_made_once_and_then_is_what_the_file_says(prefect_server):
    one = FILE["automations"][0]

    def applied(**changes):
        automations.ensure([{**one, **changes}])
        with get_client(sync_client=True) as client:
            return client.read_automations_by_name(one["name"])

    (made,), (same,) = applied(), applied()
    (changed,) = applied(description="another")
    with get_client(sync_client=True) as client:
        client.delete_automation(made.id)

    assert same == made
    assert (changed.id, changed.description) == (made.id, "another")
