from dataclasses import replace
from typing import Any

import pytest
from mlflow import MlflowClient
from plugins.tiny_training import write_snapshot
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from flows.evaluate import evaluate
from flows.train import train
from tasks.adapters import aws, packages, reference, registry, verdicts
from tasks.errors import GateFailed, NotFound
from tasks.options import TrainingOptions
from tasks.records import ModelVersion, Outcome, Served, Verdict

FILES = ["card.md", "classes.png", "confusion.png", "evaluation.json", "reliability.png"]
pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def challenger(tiny, sandbox) -> ModelVersion:
    version = train("tiny")
    sandbox.clear_calls()
    return version


def recorded(version: ModelVersion) -> Verdict | None:
    s3 = aws.client("s3")
    return verdicts.read(s3, "perennial-models-test", "tiny", version.bundle_digest)


def approval(version: ModelVersion) -> str:
    found = packages.find(aws.client("sagemaker"), "perennial-test-tiny", version.bundle_digest)
    assert found is not None
    return found.approval


def created(sandbox: Any) -> int:
    return sum(call["action"] == "CreateProcessingJob" for call in sandbox.calls())


def page(key: str = "evaluate-tiny") -> str:
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=wanted)
    return str(max(found, key=lambda one: one.created).data)


def evidence(client: MlflowClient, version: ModelVersion) -> list[str]:
    listed = client.list_artifacts(version.run_id, "evaluation")
    return [one.path.removeprefix("evaluation/") for one in listed]


def test_a_challenger_over_the_floors_passes_and_it_is_written_everywhere(
    challenger, tiny, mlflow_server, tmp_path
):
    verdict = evaluate("tiny")

    assert verdict.outcome is Outcome.PASS
    assert verdict.reasons == ("no champion to compare with",)
    assert verdict.numbers["rows"] == 60
    assert recorded(challenger) == verdict
    assert approval(challenger) == "Approved"
    client = MlflowClient(mlflow_server)
    tags = client.get_model_version(tiny.model, challenger.version).tags
    assert (tags["verdict"], tags["approval_status"]) == ("PASS", "approved")
    run = client.get_run(challenger.run_id)
    assert run.data.metrics["evaluation/accuracy"] == verdict.numbers["accuracy"]
    assert "evaluation_classes/Sci_Tech.recall" in run.data.metrics
    assert "evaluation_slices/short.accuracy" in run.data.metrics
    assert evidence(client, challenger) == FILES
    found = client.get_model_version(tiny.model, challenger.version).description
    assert found.startswith("PASS: no champion to compare with\n\nAccuracy ")
    assert "tiny version 1: PASS" in page()
    assert "| 60 test rows | challenger | champion |" in page()
    assert page().count("](data:image/png;base64,") == 3
    assert page("card-tiny").startswith(f"# {tiny.model} version 1\n")


def test_evaluating_again_uses_the_finished_job_and_shows_the_same(
    challenger, sandbox, mlflow_server
):
    client = MlflowClient(mlflow_server)
    first = evaluate("tiny")
    pages, metrics = [page(), page("card-tiny")], client.get_run(challenger.run_id).data.metrics
    sandbox.clear_calls()

    second = evaluate("tiny", version=challenger.version)

    assert second == first
    assert created(sandbox) == 0
    assert [page(), page("card-tiny")] == pages
    assert client.get_run(challenger.run_id).data.metrics == metrics
    assert len(client.get_metric_history(challenger.run_id, "evaluation/accuracy")) == 1
    assert evidence(client, challenger) == FILES


def test_a_challenger_of_wrong_labels_fails_once_all_is_recorded_and_the_champion_stays(
    challenger, tiny, mlflow_server
):
    client = registry.client(mlflow_server)
    registry.set_alias(client, tiny.model, "champion", "1")
    poisoned = write_snapshot(aws.client("s3"), tiny.folder, flipped=0.3)
    version = train("tiny", poisoned.sha256, TrainingOptions(learning_rate=1e-2, epochs=4))
    tiny.floor(0.85)

    with pytest.raises(GateFailed, match=r"tiny version 2 is FAIL: accuracy 0\.\d+ under"):
        evaluate("tiny")

    verdict = recorded(version)
    assert verdict is not None
    assert verdict.outcome is Outcome.FAIL
    assert approval(version) == "Rejected"
    tags = registry.get_tags(client, tiny.model, "2")
    assert (tags["verdict"], tags["approval_status"]) == ("FAIL", "rejected")
    assert "under the floor 0.850" in page()
    assert client.get_model_version_by_alias(tiny.model, "champion").version == "1"


def test_the_champion_itself_passes_and_gets_the_reference_that_it_lacks(
    challenger, tiny, mlflow_server, sandbox
):
    s3 = aws.client("s3")
    s3.delete_object(
        Bucket="perennial-models-test", Key=f"verdicts/tiny/{challenger.bundle_digest}.json"
    )
    registry.set_alias(registry.client(mlflow_server), tiny.model, "champion", "1")

    verdict = evaluate("tiny")

    assert verdict.outcome is Outcome.PASS
    assert verdict.reasons == ("version 1 is the champion itself",)
    served = Served("1", challenger.bundle_uri, challenger.bundle_digest, "ec2")
    found = reference.find(s3, "perennial-models-test", "tiny", served)
    assert len(found.rows.rows) == 60
    sandbox.clear_calls()
    assert evaluate("tiny") == verdict
    assert created(sandbox) == 0


def test_a_challenger_is_compared_with_the_champion_row_by_row(challenger, tiny, mlflow_server):
    registry.set_alias(registry.client(mlflow_server), tiny.model, "champion", "1")
    second = train("tiny", options=TrainingOptions(learning_rate=2e-3))

    try:
        verdict = evaluate("tiny")
    except GateFailed:
        verdict = replace(recorded(second))  # type: ignore[type-var]

    assert (verdict.version, verdict.champion_digest) == ("2", challenger.bundle_digest)
    assert {"difference", "difference_low", "difference_high"} <= verdict.numbers.keys()
    assert any("against the champion" in reason for reason in verdict.reasons)
    assert "| right where the other is wrong |" in page()


def test_without_a_challenger_a_run_says_what_to_do(tiny):
    with pytest.raises(NotFound, match="run train"):
        evaluate("tiny")
