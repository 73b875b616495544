"""Steps that tell people."""

import logging

from botocore.exceptions import BotoCoreError, ClientError
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from tasks.adapters import alerts, aws
from tasks.records import ModelVersion, Place, Served, Snapshot, Verdict

log = logging.getLogger(__name__)


@task(cache_policy=NO_CACHE)
def notify(topic_arn: str, subject: str, message: str) -> bool:
    """Tell the topic's subscribers. What was done stays done when nobody can be told: it warns."""
    try:
        alerts.notify(aws.client("sns"), topic_arn, subject, message)
    except (ClientError, BotoCoreError) as error:
        log.warning("nobody was told %r over %s: %s", subject, topic_arn, error)
        return False
    return True


@task(cache_policy=NO_CACHE)
def publish_steps(key: str, title: str, rows: dict[str, str]) -> None:
    """Show what happened, step by step, in Prefect; the newest run's is on top.

    A list, as Prefect never breaks the lines of a table and would cut a long reason off.
    """
    lines = [f"- **{name}**: {' '.join(told.split())}" for name, told in rows.items()]
    listed = "\n".join(lines)
    create_markdown_artifact(key=key, markdown=f"# {title}\n\n{listed}\n", description=title)


def tell_failure(place: Place, wanted: Served, told: dict[str, str], reason: str) -> None:
    """One message and one page for a release that failed."""
    title = f"Release of {place.classifier} version {wanted.version} did not complete"
    publish_steps(f"deploy-{place.classifier}", title, {**told, "failed": reason})
    notify(place.topic_arn, title, reason)


def publish_pipeline(
    snapshot: Snapshot, version: ModelVersion, verdict: Verdict, address: str, mlflow_uri: str
) -> None:
    """The whole way of a version on one page."""
    rows = ", ".join(f"{count:,} {split}" for split, count in snapshot.rows.items())
    # Without its query MLflow shows the half of its pages that is about chat agents.
    page = f"#/models/{version.name}/versions/{version.version}?workflowType=machine_learning"
    model = f"{mlflow_uri.rstrip('/')}/{page}"
    numbers = {name: f"{value:.4g}" for name, value in verdict.numbers.items()}
    publish_steps(
        f"pipeline-{snapshot.classifier}",
        f"{snapshot.classifier} version {version.version} serves",
        {
            "snapshot": f"`{snapshot.sha256[:12]}`: {rows}",
            "version": f"[{version.name} {version.version}]({model})",
            "bundle": f"`{version.bundle_digest[:12]}` from job `{version.job_name}`",
            **numbers,
            "verdict": f"{verdict.outcome}: {'; '.join(verdict.reasons)}",
            "endpoint": f"<{address}>",
        },
    )
