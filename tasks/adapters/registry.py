"""The MLflow registry: versions, their aliases and tags. The client is the first argument.

MLflow reads its limits from the process: `MLFLOW_HTTP_REQUEST_TIMEOUT` and
`MLFLOW_HTTP_REQUEST_MAX_RETRIES` bound how long a call here can take.
"""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from tasks.errors import NotFound
from tasks.records import ModelVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

Alias = Literal["challenger", "champion", "previous"]

log = logging.getLogger(__name__)

_METRICS_A_CALL = 1000  # MLflow takes no more at once
_EVIDENCE = ("classifier", "bundle_digest", "snapshot_sha256", "job_name")


def client(tracking_uri: str) -> "MlflowClient":
    """A client of the server that tracks runs and holds the registry."""
    from mlflow import MlflowClient  # seconds that a run which has not begun yet need not wait

    # sagemaker-mlflow, a plugin that comes with the SDK, warns on every call to a server that is
    # not an ARN.
    logging.getLogger("mlflow.tracking.request_header.registry").setLevel(logging.ERROR)
    made = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    # Half the requests: before each write it would ask whether the model is a prompt.
    made._raise_if_prompt = lambda _: None
    return made


def refusal() -> "type[MlflowException]":
    """What MLflow raises; an `except` asks for it only once something was raised."""
    from mlflow.exceptions import MlflowException

    found: type[MlflowException] = MlflowException
    return found


def register(
    client: "MlflowClient", version: ModelVersion, tags: Mapping[str, str]
) -> ModelVersion:
    """The one version of `version.job_name`, made when it is not there; answers with its number.

    Registering twice, or losing the answer of the first call, still leaves one version.
    """
    _ensure_model(client, version.name)
    if not (known := _of_job(client, version.name, version.job_name)):
        client.create_model_version(
            name=version.name,
            source=version.bundle_uri,
            run_id=version.run_id,
            tags={**tags, **{key: getattr(version, key) for key in _EVIDENCE}},
            description=f"Trained by job {version.job_name} on snapshot {version.snapshot_sha256}",
            await_creation_for=0,
        )
        known = _of_job(client, version.name, version.job_name)
    first, *surplus = known
    for extra in surplus:  # a create whose answer was lost is sent again by MLflow itself
        log.warning("%s version %s repeats version %s", version.name, extra.version, first.version)
        _delete(client, version.name, str(extra.version))
    return _record(first)


def get_by_alias(client: "MlflowClient", name: str, alias: Alias) -> ModelVersion | None:
    """What the alias points at, None when there is no such model or alias.

    Every other error goes through: not being able to ask is never "no champion".
    """
    try:
        aliases = client.get_registered_model(name).aliases
    except refusal() as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return get_version(client, name, str(aliases[alias])) if alias in aliases else None


def get_version(client: "MlflowClient", name: str, version: str) -> ModelVersion:
    """One version by its number."""
    try:
        return _record(client.get_model_version(name, version))
    except refusal() as error:
        if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise
        raise NotFound(f"model {name} has no version {version}; train makes one") from error


def set_alias(client: "MlflowClient", name: str, alias: Alias, version: str) -> None:
    """Point the alias at the version; doing it twice is doing it once."""
    client.set_registered_model_alias(name, alias, version)


def delete_alias(client: "MlflowClient", name: str, alias: Alias) -> None:
    """Point the alias at nothing; fine when it was not there."""
    client.delete_registered_model_alias(name, alias)


def set_tags(client: "MlflowClient", name: str, version: str, tags: Mapping[str, str]) -> None:
    """Set tags of one version; others stay, and what is so already is not written again."""
    known = get_tags(client, name, version) if tags else {}
    for key, value in tags.items():
        if known.get(key) != value:
            client.set_model_version_tag(name, version, key, value)


def tag_run(client: "MlflowClient", run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of the run that made a version; others stay."""
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def get_tags(client: "MlflowClient", name: str, version: str) -> dict[str, str]:
    """All tags of one version."""
    return dict(client.get_model_version(name, version).tags)


def describe(client: "MlflowClient", name: str, version: str, text: str) -> None:
    """What the registry's page says about one version."""
    client.update_model_version(name, version, text)


def log_metrics(client: "MlflowClient", run_id: str, numbers: Mapping[str, float]) -> None:
    """Metrics of a run; one that has its value already gets no second point."""
    from mlflow.entities import Metric

    known = client.get_run(run_id).data.metrics
    now = int(time.time() * 1000)
    new = [
        Metric(name, value, now, 0) for name, value in numbers.items() if known.get(name) != value
    ]
    for start in range(0, len(new), _METRICS_A_CALL):
        client.log_batch(run_id, metrics=new[start : start + _METRICS_A_CALL])


def offer_metrics(client: "MlflowClient", run_id: str, numbers: Mapping[str, float]) -> bool:
    """`log_metrics` of numbers that nothing waits for: a server that is away is a warning."""
    try:
        log_metrics(client, run_id, numbers)
    except refusal() as error:
        log.warning("run %s does not get %s: %s", run_id, ", ".join(numbers), error)
        return False
    return True


def log_files(client: "MlflowClient", run_id: str, folder: str, files: Mapping[str, bytes]) -> None:
    """Artifacts of a run in `folder` (empty: on top), over earlier ones of these names."""
    with TemporaryDirectory() as scratch:
        for name, content in files.items():
            (Path(scratch) / name).write_bytes(content)
        client.log_artifacts(run_id, scratch, folder or None)


def _ensure_model(client: "MlflowClient", name: str) -> None:
    try:
        client.create_registered_model(name)
    except refusal() as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _of_job(client: "MlflowClient", name: str, job: str) -> list[Any]:
    found = client.search_model_versions(f"name='{name}' and tag.job_name='{job}'")
    return sorted(found, key=lambda version: int(version.version))


def _delete(client: "MlflowClient", name: str, version: str) -> None:
    try:
        client.delete_model_version(name, version)
    except refusal() as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise


def _record(found: Any) -> ModelVersion:
    if missing := [key for key in _EVIDENCE if key not in found.tags]:
        raise NotFound(
            f"model {found.name} version {found.version} has no tag {', '.join(missing)}: "
            "it was not registered by the train flow and cannot be proved"
        )
    return ModelVersion(
        name=found.name,
        version=str(found.version),
        run_id=found.run_id,
        bundle_uri=found.source,
        **{key: found.tags[key] for key in _EVIDENCE},
    )
