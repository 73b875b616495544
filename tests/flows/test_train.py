import re
from typing import Any

import pytest
from botocore.exceptions import ClientError
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from flows.train import train
from tasks import jobs
from tasks.adapters import aws, packages
from tasks.classifiers import load
from tasks.errors import JobFailed, NotFound
from tasks.options import TrainingOptions
from tasks.settings import Settings

FAILURE = (
    r"(?s)Failed: .*last lines of its log:.*/no/such/model.*"
    r"whole log: aws logs tail /aws/sagemaker/TrainingJobs --log-stream-name-prefix \S+"
)

# Not what other files train: this one sees its job begin, whoever used the sandbox before.
OPTIONS = TrainingOptions(learning_rate=1.5e-3)

pytestmark = pytest.mark.usefixtures("prefect_server")


def created(sandbox: Any) -> int:
    return sum(call["action"] == "CreateTrainingJob" for call in sandbox.calls())


def artifact(key: str) -> Any:
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=wanted)
    return max(found, key=lambda one: one.created)


def test_a_run_trains_a_challenger(tiny, mlflow_server, caplog):
    with caplog.at_level("INFO", logger="tasks"):
        version = train("tiny", options=OPTIONS)

    client = MlflowClient(mlflow_server)
    found = client.get_model_version_by_alias(tiny.model, "challenger")
    assert (found.version, found.source) == (version.version, version.bundle_uri)
    assert client.get_registered_model(tiny.model).aliases == {"challenger": "1"}
    assert found.tags["job_name"] == version.job_name
    assert found.tags["approval_status"] == "pending"
    assert found.tags["training_date"].startswith("20")
    assert 0 <= float(found.tags["accuracy"]) <= 1
    assert client.get_run(version.run_id).data.tags["job_name"] == version.job_name
    assert any(line.startswith("epoch 1/1 step 6/6 loss") for line in caplog.messages)
    package = packages.find(aws.client("sagemaker"), "perennial-test-tiny", version.bundle_digest)
    assert package is not None
    page = artifact("train-tiny").data
    assert f"| Version | {tiny.model} version 1, challenger |" in page
    assert "96 training rows" in page
    assert re.search(r"\| On validation rows \| accuracy [\d.]+, macro-F1 [\d.]+ \|", page)
    assert re.search(r"\| Engine \| [\w-]+[;,] .*validation rows", page)
    assert "![Training curve](data:image/png;base64," in page
    listed = client.list_artifacts(version.run_id, "training")
    assert [one.path for one in listed] == ["training/curve.png"]
    progress = artifact("training-progress")
    assert progress.data == 100
    told = rf"training job {version.job_name}: epoch 1/1 step 6/6 loss [\d.]+ [\d.]+ rows/s eta 0 s"
    assert re.fullmatch(told, progress.description)


def test_the_same_run_again_makes_no_second_job_and_no_second_version(tiny, mlflow_server, sandbox):
    first = train("tiny", options=OPTIONS)
    sandbox.clear_calls()

    second = train("tiny", options=OPTIONS)

    assert second == first
    assert created(sandbox) == 0
    assert len(MlflowClient(mlflow_server).search_model_versions(f"name='{tiny.model}'")) == 1


def test_a_run_attaches_to_the_job_that_another_run_left_behind(tiny, sandbox):
    settings = Settings()
    options = TrainingOptions(learning_rate=2.5e-3)
    config = options.apply(load("tiny", settings.classifiers_dir))
    data = jobs.find_snapshot.fn(settings.data_bucket, "tiny", None)
    left = jobs.start_training.fn(config, data, jobs.workplace(settings))

    version = train("tiny", options=options)

    assert left.found == "new"
    assert version.job_name == left.name
    assert created(sandbox) == 1


def test_a_failing_job_raises_its_own_last_lines_and_the_next_run_is_a_new_attempt(
    tiny, mlflow_server
):
    options = TrainingOptions(base_model="/no/such/model")

    with pytest.raises(JobFailed, match=FAILURE):
        train("tiny", options=options)
    with pytest.raises(JobFailed, match=r"-a2 Failed: "):
        train("tiny", options=options)

    models = MlflowClient(mlflow_server).search_registered_models(f"name='{tiny.model}'")
    assert models == []


def test_without_data_a_run_says_what_to_do(tiny):
    aws.client("s3").delete_object(Bucket="perennial-data-test", Key="datasets/tiny/latest.json")

    with pytest.raises(NotFound, match="run `prefect deployment run 'ingest/tiny'` first"):
        train("tiny")


@pytest.mark.parametrize("kind", ["expired-credentials", "access-denied"])
def test_a_run_that_may_not_start_jobs_ends_at_once(tiny, sandbox, kind):
    sandbox.fault(service="sagemaker", action="*", kind=kind, times=100)

    with pytest.raises(ClientError):
        train("tiny", options=TrainingOptions(learning_rate=3e-3))

    sandbox.clear_faults()
    assert sum(call["service"] == "sagemaker" for call in sandbox.calls()) <= 2
