"""A check by Prefect's own engine: the run's state, its page and the event on a real server."""

import time

import pytest
from plugins.watched import UNTIL
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
)
from prefect.events import emit_event

from flows.drift_check import drift_check
from tasks import drift_evidence, drift_response
from tasks.drift_response import exit_code
from tasks.drift_window import Window


@pytest.fixture
def server(prefect_server, watched, monkeypatch):
    monkeypatch.setattr(drift_evidence, "create_markdown_artifact", create_markdown_artifact)
    monkeypatch.setattr(drift_response, "emit_event", emit_event)
    with get_client(sync_client=True) as client:
        yield client


def events(server, name, about=""):
    """Those of that name whose content says `about`: the server is other tests', too."""
    wanted = {"filter": {"event": {"name": [name]}}}
    end = time.monotonic() + 60
    while True:
        told = server._client.post("/events/filter", json=wanted).json()["events"]
        if found := [one for one in told if about in str(one)]:
            return found
        assert time.monotonic() < end, f"no event {name}"
        time.sleep(0.2)


def test_the_run_ends_in_a_telling_state_and_the_event_leads_to_its_evidence(server, watched):
    watched.serve()
    watched.log(150, drifted=True)

    state = drift_check("news", Window(until=UNTIL), return_state=True)

    run = server.read_flow_run(state.state_details.flow_run_id)
    assert (run.name, run.state.name, run.state.is_completed()) == (
        *("drift-check news", "DETECTED", True),
    )
    assert run.state.message.startswith("drift score 0.")
    assert exit_code(state) == 2
    told = events(server, "model.drift.detected", f"s3://{watched.models}/drift/news/")[0]
    assert told["resource"]["perennial.advice"] == "retrain"
    assert events(server, "prefect.flow-run.DETECTED")
    wanted = ArtifactFilter(
        key=ArtifactFilterKey(any_=["drift-news"]),
        flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]),
    )
    (page,) = server.read_artifacts(artifact_filter=wanted)
    assert page.data.startswith("# 🔴 news: DETECTED")
    assert page.description.startswith("DETECTED: drift score")


def test_a_run_that_cannot_tell_fails(server, watched):
    watched.serve()
    watched.s3.delete_bucket(Bucket=watched.data)

    state = drift_check("news", Window(until=UNTIL), return_state=True)

    assert state.is_failed()
    assert exit_code(state) == 1
    assert watched.requests() == []
