import inspect
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger

from deployments.apply import expand, full_name, give_environment
from tasks import classifiers
from tasks.policy import restarts

ROOT = Path(__file__).parents[2]
FLOWS = ("pipeline", "ingest", "train", "tune", "evaluate", "deploy", "rollback", "drift-check")
NAMES = classifiers.names(ROOT / "classifiers")


@pytest.fixture
def written_out():
    return expand(yaml.safe_load((ROOT / "prefect.yaml").read_text()), NAMES)


def test_every_classifier_has_every_flow(written_out):
    names = {full_name(deployment) for deployment in written_out["deployments"]}

    assert names == {
        "pipeline/on-drift",
        "pipeline/weekly",
        "reconcile/every-minute",
        "drift-check/hourly",
        "health/every-5-minutes",
        *(f"{flow}/{name}" for flow in FLOWS for name in NAMES),
    }


def test_the_weekly_run_takes_every_classifier_on_sunday_night(written_out):
    weekly = next(item for item in written_out["deployments"] if item["name"] == "weekly")

    assert {item["parameters"]["classifier"] for item in weekly["schedules"]} == set(NAMES)
    assert {item["cron"] for item in weekly["schedules"]} == {"0 2 * * 0"}
    assert all(item["parameters"]["reason"] == {"kind": "weekly"} for item in weekly["schedules"])


def test_every_classifier_is_checked_for_drift_each_hour(written_out):
    hourly = next(item for item in written_out["deployments"] if item["name"] == "hourly")

    assert {item["parameters"]["classifier"] for item in hourly["schedules"]} == set(NAMES)
    assert {item["cron"].split(" ", 1)[1] for item in hourly["schedules"]} == {"* * * *"}
    assert hourly["concurrency_limit"]["collision_strategy"] == "ENQUEUE"


def test_every_deployment_runs_one_at_a_time(written_out):
    assert all(item["concurrency_limit"]["limit"] == 1 for item in written_out["deployments"])


def test_what_died_is_looked_after_every_minute_and_at_once_when_its_crash_is_told(written_out):
    found = next(item for item in written_out["deployments"] if item["name"] == "every-minute")

    assert [item["cron"] for item in found["schedules"]] == ["* * * * *"]
    assert found["concurrency_limit"]["collision_strategy"] == "CANCEL_NEW"
    trigger = DeploymentEventTrigger.model_validate(found["triggers"][0])
    watched = trigger.match_related["prefect.resource.name"]
    assert trigger.expect == {"prefect.flow-run.Crashed"}
    assert {*watched} == {*restarts.FLOWS, *restarts.RELEASING}


def test_every_entrypoint_is_a_flow_that_takes_its_parameters(written_out):
    for deployment in written_out["deployments"]:
        module, _, name = deployment["entrypoint"].rpartition(".")
        flow = getattr(import_module(module), name)

        inspect.signature(flow.fn).bind_partial(**deployment.get("parameters", {}))
        assert full_name(deployment).split("/")[0] == flow.name


def test_a_new_classifier_file_is_all_that_a_new_deployment_needs():
    file = yaml.safe_load((ROOT / "prefect.yaml").read_text())

    written_out = expand(file, ("spam",))

    assert "pipeline/spam" in {full_name(item) for item in written_out["deployments"]}


@pytest.mark.parametrize(("kind", "starts_here"), [("process", True), ("ecs", False)])
def test_the_first_run_has_its_settings_whatever_the_worker_knows_of_its_pool(
    written_out, kind, starts_here
):
    give_environment(written_out, kind, {"PERENNIAL_DATA_BUCKET": "rows"})

    for deployment in written_out["deployments"]:
        variables = deployment["work_pool"]["job_variables"]
        assert deployment["work_pool"]["name"] == "perennial"
        assert variables["env"] == {"PERENNIAL_DATA_BUCKET": "rows"}
        assert ("working_dir" in variables) == ("command" in variables) == starts_here
