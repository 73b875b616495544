"""Steps that tell people."""

import hashlib
import logging
from contextlib import suppress

from botocore.exceptions import BotoCoreError, ClientError
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from tasks.adapters import alerts, aws, secrets
from tasks.records import Environment, ModelVersion, Place, Served, Snapshot, Verdict

log = logging.getLogger(__name__)

_SAME_S = 3600


@task(cache_policy=NO_CACHE)
def notify(
    place: Place | Environment, subject: str, message: str, command: str = "", about: str = ""
) -> bool:
    """Tell the topic's subscribers, Slack and e-mail; with this run's page and the next command.

    The same is told once an hour at most; with another `about`, a release's op id, the same words
    are another thing. What was done stays done when nobody can be told: that is a warning, never
    an error. Whether somebody was told now.
    """
    key = f"{place.releases}/told/{hashlib.sha256(subject.encode()).hexdigest()[:16]}"
    if not _is_news(place, key, f"{about} {message}"):
        log.info("told already in the last hour: %s", subject)
        return False
    where = f"Where: {place.prefix}"
    parts = [message, where, f"Next: {command}" if command else "", _page()]
    told = "\n\n".join(part for part in parts if part)
    # Each way is tried, whatever became of the other.
    reached = [_by_topic(place, subject, told), _by_notifiers(place, subject, told)]
    if not any(reached):
        log.warning("nobody was told %r", subject)
        with suppress(ClientError, BotoCoreError):
            alerts.forget(aws.client("s3"), place.models_bucket, key)
    return any(reached)


def _by_topic(place: Place | Environment, subject: str, told: str) -> bool:
    try:
        alerts.notify(aws.client("sns"), place.topic_arn, subject, told)
    except (ClientError, BotoCoreError) as error:
        log.warning("%s did not take %r: %s", place.topic_arn, subject, error)
        return False
    return True


def _by_notifiers(place: Place | Environment, subject: str, told: str) -> bool:
    try:
        found = secrets.read(aws.client("secretsmanager"), place.notify_secret)
    except (ClientError, BotoCoreError) as error:
        log.warning("Slack and e-mail did not get %r: %s", subject, error)
        return False
    if not (urls := (found or "").split()):
        return False
    from tasks.adapters import notifiers  # Apprise: not for those who have nobody to tell

    missed = notifiers.send(urls, f"{place.project}-{place.environment}: {subject}", told)
    for name in missed:
        log.warning("%s did not take %r", name, subject)
    return len(missed) < len(urls)


def _is_news(place: Place | Environment, key: str, message: str) -> bool:
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
