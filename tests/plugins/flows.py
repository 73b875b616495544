"""What tests of flows share: one Prefect server for all of them, an environment in the sandbox."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from plugins.once import alone, shared

CHECKOUT = Path(__file__).resolve().parents[2]
BUCKETS = ("perennial-data-test", "perennial-models-test", "perennial-logs-test")


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A real Prefect server with an empty database, for the whole test session.

    The first one of a run migrates its database, half of its start; the others begin with a copy.
    """
    # Imported late: most tests that load this plugin never need Prefect.
    from prefect.testing import utilities

    folder = shared(tmp_path_factory)
    template, own = folder / "prefect.db", tmp_path_factory.mktemp("prefect") / "prefect-test.db"
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr(utilities, "mkdtemp", lambda: str(own.parent))
        with alone(folder, "prefect"):
            first = not template.exists()
            if not first:
                shutil.copy(template, own)
            stack.enter_context(utilities.prefect_test_harness(server_startup_timeout=180))
            if first:
                _copy_database(own, template)
        yield


def _copy_database(live: Path, template: Path) -> None:
    new = template.with_suffix(".new")
    with closing(sqlite3.connect(live)) as source, closing(sqlite3.connect(new)) as copy:
        source.backup(copy)
    new.rename(template)


@pytest.fixture
def settings_env(sandbox: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that `tasks.settings.Settings` reads, and the buckets that they name."""
    import boto3

    s3 = boto3.client("s3")
    for bucket in BUCKETS:
        s3.create_bucket(Bucket=bucket)
    images = "123456789012.dkr.ecr.us-east-1.amazonaws.com/perennial"
    for name, value in {
        "PERENNIAL_ENVIRONMENT": "test",
        "PERENNIAL_DATA_BUCKET": BUCKETS[0],
        "PERENNIAL_MODELS_BUCKET": BUCKETS[1],
        "PERENNIAL_LOGS_BUCKET": BUCKETS[2],
        "PERENNIAL_EXECUTION_ROLE_ARN": "arn:aws:iam::123456789012:role/perennial-test",
        "PERENNIAL_INSTANCE_PROFILE": "perennial-test",
        "PERENNIAL_ALERT_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:perennial-test",
        "PERENNIAL_TRAINING_IMAGE": f"{images}-training:test",
        "PERENNIAL_SERVING_IMAGE": f"{images}-serving:test",
        "PERENNIAL_CLASSIFIERS_DIR": str(CHECKOUT / "classifiers"),
        "PERENNIAL_TEMPLATES_DIR": str(CHECKOUT / "infra/cloudformation"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def engineless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flows and tasks are called as the functions they are: no Prefect run, retry or artifact.

    For tests of what a flow does in which order; Prefect's engine takes seconds for each run.
    """
    from uuid import uuid4

    from prefect import Flow, Task
    from prefect.states import Completed, Failed

    from tasks import alerts, decisions, health, history, observation

    runs: list[str] = []

    def run(flow: Any, *args: Any, **more: Any) -> Any:
        runs.append(f"flow run {uuid4()} attempt 1")
        try:
            return flow.fn(*args, **more)
        finally:
            runs.pop()

    def step(task: Any, *args: Any, return_state: bool = False, **more: Any) -> Any:
        if not return_state:
            return task.fn(*args, **more)
        try:
            return Completed(data=task.fn(*args, **more))
        except Exception as error:  # as the engine, which keeps whatever it was
            return Failed(data=error, message=f"{type(error).__name__}: {error}")

    monkeypatch.setattr(Flow, "__call__", run)
    monkeypatch.setattr(Task, "__call__", step)
    monkeypatch.setattr(decisions, "holder", lambda: runs[-1])
    for module in (alerts, health, history, observation):
        for name in [name for name in vars(module) if name.endswith("_artifact")]:
            monkeypatch.setattr(module, name, lambda *_, **__: uuid4())
