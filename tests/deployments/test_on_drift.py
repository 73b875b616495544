"""From the event to the run, on a real Prefect server with the trigger of prefect.yaml."""

import time
from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.events import emit_event
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger

from deployments.apply import full_name
from flows.pipeline import pipeline
from tasks.reasons import Reason

ROOT = Path(__file__).parents[2]


@pytest.fixture
def runs(prefect_server):
    """The runs of pipeline/on-drift, whose trigger is at work."""
    file = yaml.safe_load((ROOT / "prefect.yaml").read_text("utf-8"))
    (wanted,) = [one for one in file["deployments"] if full_name(one) == "pipeline/on-drift"]
    (told,) = wanted["triggers"]
    trigger = DeploymentEventTrigger.model_validate(told)
    with get_client(sync_client=True) as client:
        flow = client.create_flow_from_name("pipeline")
        deployment = client.create_deployment(flow, "on-drift")
        trigger.set_deployment_id(deployment)
        told = trigger.as_automation().model_dump(mode="json")
        client._client.post("/automations/", json=told).raise_for_status()
        ours = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
        yield lambda: client.read_flow_runs(deployment_filter=ours)
        client.delete_deployment(deployment)


def detected(model, advice="retrain"):
    payload = {
        "classifier": model,
        "version": "3",
        "fingerprint": f"request of {model}",
        "score": 0.41,
        "verdict_uri": "s3://models/verdict.json",
        "advice": advice,
    }
    resource = {"prefect.resource.id": f"perennial.model.{model}", "perennial.advice": advice}
    assert emit_event("model.drift.detected", resource=resource, payload=payload)


def test_an_event_starts_a_run_with_its_evidence_and_a_flood_starts_no_more(runs, record_property):
    began = time.monotonic()
    while len(found := runs()) < 2:  # a trigger hears nothing in the first moment of its life
        assert time.monotonic() < began + 240, "no run came of the event"
        detected("sentiment", advice="ignore")
        for model in ("news", "news", "news", "genre"):
            detected(model)
        time.sleep(0.5)

    record_property("seconds from event to scheduled run", round(time.monotonic() - began, 1))
    by_model = {run.parameters["classifier"]: run.parameters for run in found}
    given = pipeline.validate_parameters(by_model["news"])
    assert set(by_model) == {"news", "genre"}
    assert given["reason"] == Reason(
        kind="drift",
        fingerprint="request of news",
        note="score 0.41, s3://models/verdict.json",
    )
