"""Steps that tell people."""

import hashlib
import logging
from contextlib import suppress

from botocore.exceptions import BotoCoreError, ClientError
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from tasks.adapters import alerts, aws
from tasks.records import ModelVersion, Place, Served, Snapshot, Verdict

log = logging.getLogger(__name__)

_SAME_S = 3600


@task(cache_policy=NO_CACHE)
def notify(place: Place, subject: str, message: str, command: str = "", about: str = "") -> bool:
    """Tell the topic's subscribers, with this run's page and the command to type next.

    The same is told once an hour at most; with another `about`, a release's op id, the same words
    are another thing. What was done stays done when nobody can be told: that is a warning, never
    an error.
    """
    key = f"{place.releases}/told/{hashlib.sha256(subject.encode()).hexdigest()[:16]}"
    parts = [message, f"Next: {command}" if command else "", _page()]
    try:
        if not _is_news(place, key, f"{about} {message}"):
            log.info("told already in the last hour: %s", subject)
            return False
        told = "\n\n".join(part for part in parts if part)
        alerts.notify(aws.client("sns"), place.topic_arn, subject, told)
    except (ClientError, BotoCoreError) as error:
        log.warning("nobody was told %r over %s: %s", subject, place.topic_arn, error)
        with suppress(ClientError, BotoCoreError):
            alerts.forget(aws.client("s3"), place.models_bucket, key)
        return False
    return True


def _is_news(place: Place, key: str, message: str) -> bool:
    try:
        return alerts.is_news(aws.client("s3"), place.models_bucket, key, message, _SAME_S)
    except (ClientError, BotoCoreError) as error:
        log.warning("told perhaps twice, as what was told before cannot be read: %s", error)
        return True


def _page() -> str:
    return f"Run: {url}" if (url := flow_run.ui_url) else ""


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
    again = f"prefect deployment run 'deploy/{place.classifier}' -p version='\"{wanted.version}\"'"
    notify(place, title, reason, again)


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
