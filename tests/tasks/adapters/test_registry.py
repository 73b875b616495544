from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tasks.adapters import registry
from tasks.errors import NotFound
from tasks.reasons import Reason
from tasks.records import ModelVersion
from tasks.registry import tag_reason

TAGS = {"training_date": "2026-01-02", "accuracy": "0.91", "approval_status": "pending"}


@pytest.fixture
def client(mlflow_server: str) -> MlflowClient:
    return registry.client(mlflow_server)


@pytest.fixture
def trained(client: MlflowClient, request: pytest.FixtureRequest) -> ModelVersion:
    """A version that is not registered yet; every test has its own model."""
    run = client.create_run("0")
    return ModelVersion(
        classifier="news",
        name=f"model-{run.info.run_id[:12]}",
        version="",
        run_id=run.info.run_id,
        bundle_uri="s3://models/training/job-1/output/model.tar.gz",
        bundle_digest="d" * 64,
        snapshot_sha256="5" * 64,
        job_name="job-1",
    )


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return registry.client("http://127.0.0.1:9")


def test_registering_tells_everything_about_the_version(client, trained):
    version = registry.register(client, trained, TAGS)

    assert version.version == "1"
    assert version.bundle_uri == trained.bundle_uri
    assert registry.get_version(client, trained.name, "1") == version
    tags = registry.get_tags(client, trained.name, "1")
    assert tags == TAGS | {
        "classifier": "news",
        "bundle_digest": "d" * 64,
        "snapshot_sha256": "5" * 64,
        "job_name": "job-1",
    }


def test_registering_the_same_job_twice_leaves_one_version(client, trained):
    first = registry.register(client, trained, TAGS)
    second = registry.register(client, trained, TAGS)

    assert first == second
    assert len(client.search_model_versions(f"name='{trained.name}'")) == 1


def test_a_create_whose_answer_was_lost_leaves_one_version(client, trained, monkeypatch):
    once = client.create_model_version
    monkeypatch.setattr(
        client, "create_model_version", lambda **words: (once(**words), once(**words))
    )

    version = registry.register(client, trained, TAGS)

    assert version.version == "1"
    assert len(client.search_model_versions(f"name='{trained.name}'")) == 1


def test_an_alias_finds_its_version(client, trained):
    version = registry.register(client, trained, TAGS)

    registry.set_alias(client, trained.name, "champion", "1")

    assert registry.get_by_alias(client, trained.name, "champion") == version
    assert registry.get_by_alias(client, trained.name, "previous") is None
    registry.delete_alias(client, trained.name, "champion")
    assert registry.get_by_alias(client, trained.name, "champion") is None


def test_a_model_that_is_not_there_has_no_champion(client):
    assert registry.get_by_alias(client, "never-seen", "champion") is None


def test_a_registry_that_does_not_answer_is_not_no_champion(no_server):
    with pytest.raises(MlflowException, match="Connection refused"):
        registry.get_by_alias(no_server, "news", "champion")


def test_a_version_registered_by_hand_is_refused(client, trained):
    client.create_registered_model(trained.name)
    client.create_model_version(trained.name, trained.bundle_uri, await_creation_for=0)

    with pytest.raises(NotFound, match=r"version 1 has no tag classifier, bundle_digest"):
        registry.get_version(client, trained.name, "1")


def test_a_version_that_is_not_there_is_named(client, trained):
    registry.register(client, trained, TAGS)

    with pytest.raises(NotFound, match="has no version 9"):
        registry.get_version(client, trained.name, "9")


def test_a_write_is_one_request_and_what_is_so_is_not_written_again(client, trained, monkeypatch):
    registry.register(client, trained, TAGS)
    asked, send = [], requests.Session.send
    monkeypatch.setattr(
        requests.Session,
        "send",
        lambda self, request, **more: asked.append(request.method) or send(self, request, **more),
    )

    registry.set_alias(client, trained.name, "champion", "1")
    registry.set_tags(client, trained.name, "1", TAGS | {"accuracy": "0.92"})

    assert asked == ["POST", "GET", "POST"]
    assert registry.get_tags(client, trained.name, "1")["accuracy"] == "0.92"


def test_metrics_of_a_run_get_a_second_point_only_for_a_new_value(client, trained):
    for accuracy in (0.9, 0.9, 0.8):
        registry.log_metrics(client, trained.run_id, {"evaluation/accuracy": accuracy, "rows": 60})

    run, history = trained.run_id, client.get_metric_history
    assert client.get_run(run).data.metrics == {"evaluation/accuracy": 0.8, "rows": 60}
    assert sorted(one.value for one in history(run, "evaluation/accuracy")) == [0.8, 0.9]
    assert len(history(run, "rows")) == 1


def test_files_of_a_run_are_written_over_earlier_ones(client, trained, tmp_path):
    for content in (b"one", b"two"):
        registry.log_files(client, trained.run_id, "evaluation", {"a.json": content, "b.png": b"x"})

    listed = client.list_artifacts(trained.run_id, "evaluation")
    assert [one.path for one in listed] == ["evaluation/a.json", "evaluation/b.png"]
    found = client.download_artifacts(trained.run_id, "evaluation/a.json", str(tmp_path))
    assert Path(found).read_bytes() == b"two"


def test_a_version_says_what_it_is(client, trained):
    version = registry.register(client, trained, TAGS)

    registry.describe(client, version.name, version.version, "PASS: good")

    assert client.get_model_version(version.name, version.version).description == "PASS: good"


def test_the_first_reason_for_a_version_stays_on_it_and_on_its_run(client, trained, mlflow_server):
    version = registry.register(client, trained, TAGS)
    for kind in ("weekly", "manual"):
        tag_reason.fn(version, Reason(kind=kind, fingerprint="f" * 32), mlflow_server)

    told = {"retrain_reason": "weekly", "retrain_request": "f" * 32}
    run = client.get_run(version.run_id).data.tags
    assert registry.get_tags(client, trained.name, "1").items() >= told.items()
    assert run.items() >= told.items()
