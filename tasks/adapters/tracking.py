"""MLflow runs: that of a study with the runs of its jobs nested in it, that of a drift check."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tasks.adapters import registry

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PARENT = "mlflow.parentRunId"  # MLflow's own tag: its page shows a tree by it


def begin(client: "MlflowClient", experiment: str, study: str, tags: Mapping[str, str]) -> str:
    """The id of the study's run, made when there is none and open again when it had ended."""
    where = _experiment(client, experiment)
    if found := client.search_runs([where], f"tags.study = '{study}'", max_results=1):
        run_id: str = found[0].info.run_id
        client.update_run(run_id, status="RUNNING")
        return run_id
    run = client.create_run(where, run_name=study, tags={**tags, "study": study})
    return str(run.info.run_id)


def nest(client: "MlflowClient", parent: str, job: str) -> bool:
    """Put the job's run below the study's; False while the job has none."""
    where = client.get_run(parent).info.experiment_id
    found = client.search_runs([where], f"tags.job_name = '{job}'", max_results=1)
    for run in found:
        client.set_tag(run.info.run_id, _PARENT, parent)
    return bool(found)


def end(
    client: "MlflowClient",
    run_id: str,
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    files: Mapping[str, bytes],
    failed: bool = False,
) -> None:
    """Log how the study stands and end its run; saying it again overwrites."""
    for key, value in metrics.items():
        client.log_metric(run_id, key, value)
    for key, text in tags.items():
        client.set_tag(run_id, key, text)
    registry.log_files(client, run_id, "", files)
    client.set_terminated(run_id, "FAILED" if failed else "FINISHED")


def note(
    client: "MlflowClient",
    experiment: str,
    name: str,
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    files: Mapping[str, bytes],
) -> str:
    """A run that is over already, one for each tag `verdict_uri`; the path of its page."""
    where = _experiment(client, experiment)
    same = f"tags.verdict_uri = '{tags['verdict_uri']}'"
    found = client.search_runs([where], same, max_results=1)
    run = found[0] if found else client.create_run(where, run_name=name, tags=dict(tags))
    run_id = str(run.info.run_id)
    registry.log_metrics(client, run_id, metrics)
    registry.log_files(client, run_id, "", files)
    client.set_terminated(run_id)
    return f"#/experiments/{where}/runs/{run_id}"


def _experiment(client: "MlflowClient", name: str) -> str:
    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except registry.refusal() as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return str(client.get_experiment_by_name(name).experiment_id)
