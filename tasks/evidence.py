"""Steps that show what an evaluation found: pages in Prefect, pictures and numbers in MLflow.

An evaluation whose verdict is ERROR is not drawn and gets no card: its numbers may be those of
other models or other rows.
"""

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from tasks.adapters import aws, registry, results
from tasks.pictures import evaluation as drawn
from tasks.pictures.base import png, shown
from tasks.policy import card
from tasks.policy.measures import measures
from tasks.policy.verdict_page import page
from tasks.records import ModelVersion, Outcome, Snapshot, Verdict
from tasks.retries import live
from training.formats import Evaluation

_TITLES = {
    "confusion": "Confusion matrix of the challenger",
    "classes": "F1 of each class",
    "reliability": "Reliability and confidence",
}


@task(cache_policy=NO_CACHE)
def draw_pictures(verdict: Verdict, evaluation: Evaluation | None) -> dict[str, bytes]:
    """Confusion matrix, F1 of each class and reliability as PNG, by name."""
    if evaluation is None or verdict.outcome is Outcome.ERROR:
        return {}
    return {
        "confusion": png(drawn.confusion(evaluation.challenger, evaluation.labels)),
        "classes": png(drawn.classes(evaluation)),
        "reliability": png(drawn.reliability(evaluation)),
    }


@task(cache_policy=NO_CACHE)
def publish_verdict(
    verdict: Verdict,
    evaluation: Evaluation | None = None,
    pictures: dict[str, bytes] | None = None,
) -> None:
    """Show the verdict in Prefect: both models side by side, and every class."""
    views = [shown(_TITLES[name], picture) for name, picture in (pictures or {}).items()]
    create_markdown_artifact(
        key=f"evaluate-{verdict.classifier}",
        markdown=page(verdict, evaluation, views),
        description=f"version {verdict.version}: {verdict.outcome}",
    )


@live
def write_card(
    version: ModelVersion, snapshot: Snapshot, verdict: Verdict, evaluation: Evaluation | None
) -> str:
    """The version's model card, shown in Prefect; empty when there is nothing to say for sure."""
    if evaluation is None or verdict.outcome is Outcome.ERROR:
        return ""
    s3 = aws.client("s3")
    bundle, _ = results.trained(s3, version.bundle_uri)
    written = card.card(version, bundle, results.data(s3, snapshot.uri), evaluation, verdict)
    create_markdown_artifact(
        key=f"card-{version.classifier}",
        markdown=written,
        description=f"model card of {version.name} version {version.version}",
    )
    return written


@live
def log_evidence(
    version: ModelVersion,
    verdict: Verdict,
    evaluation: Evaluation | None,
    pictures: dict[str, bytes],
    written_card: str,
    mlflow_uri: str,
) -> None:
    """Put numbers, pictures and card on the MLflow run and a short card on the version.

    Doing it again adds nothing.
    """
    client = registry.client(mlflow_uri)
    registry.log_metrics(client, version.run_id, measures(verdict, evaluation))
    files = {f"{name}.png": picture for name, picture in pictures.items()}
    if evaluation:
        files["evaluation.json"] = evaluation.model_dump_json(exclude_defaults=True).encode()
    if evaluation and written_card:
        files["card.md"] = written_card.encode()
        text = card.summary(evaluation, verdict, version)
        registry.describe(client, version.name, version.version, text)
    if files:
        registry.log_files(client, version.run_id, "evaluation", files)
