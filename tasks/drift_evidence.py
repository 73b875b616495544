"""Steps that show what a drift check found: report, MLflow, CloudWatch, a page in Prefect."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from tasks.adapters import aws, checks, gauges, registry, tracking
from tasks.drift import Check, Sides
from tasks.drift_records import DriftOutcome, DriftVerdict
from tasks.pictures import drift as drawn
from tasks.pictures.base import shown
from tasks.pictures.drift import Point
from tasks.policy.drift_page import headline, page
from tasks.records import Place
from tasks.retries import live

log = logging.getLogger(__name__)

_NAMESPACE = "Perennial/Drift"
_TAKEN = timedelta(days=14)  # CloudWatch refuses older points


@task(cache_policy=NO_CACHE)
def make_report(sides: Sides) -> dict[str, bytes]:
    """Evidently's report, for people and for machines."""
    from tasks.adapters import reports  # five seconds that a check without data has no use for

    old, new = (
        reports.Side(side.numeric, [side.names[label] for label in side.labels])
        for side in (sides.reference, sides.window)
    )
    html, json = reports.drift(old, new)
    return {"report.html": html, "report.json": json}


@live
def keep_report(check: Check, report: dict[str, bytes]) -> str:
    """Put it beside where the verdict will be."""
    return checks.keep(aws.client("s3"), check.bucket, check.folder, report)


@live
def log_check(
    check: Check, verdict: DriftVerdict, report: dict[str, bytes], mlflow_uri: str
) -> str:
    """A run for the check in the experiment `{classifier}-drift`; the address of its page.

    Empty when MLflow is away: nothing waits for it, and the report is in S3.
    """
    about = verdict.about
    numbers = {"drift_score": verdict.score, "p_value": verdict.p_value, "rows": verdict.rows}
    numbers |= {f"effect/{one.name}": one.effect for one in verdict.signals}
    if verdict.accuracy:
        numbers |= {"accuracy": verdict.accuracy.value}
    tags = {
        "outcome": str(verdict.outcome),
        "version": about.version,
        "bundle_digest": about.bundle_digest,
        "advice": verdict.advice,
        "verdict_uri": check.verdict_uri,
        "mlflow.note.content": headline(verdict),
    }
    try:
        client = registry.client(mlflow_uri)
        experiment = f"{about.classifier}-drift"
        path = tracking.note(client, experiment, check.name, numbers, tags, report)
    except registry.refusal() as error:
        log.warning("MLflow does not get the check %s: %s", check.name, error)
        return ""
    return f"{mlflow_uri.rstrip('/')}/{path}/artifacts/report.html?workflowType=machine_learning"


@live
def put_metric(place: Place, verdict: DriftVerdict) -> None:
    """The score as CloudWatch metric; an alarm of the place follows it."""
    about = verdict.about
    if datetime.now(UTC) - about.until > _TAKEN:
        return
    detected = float(verdict.outcome is DriftOutcome.DETECTED)
    gauges.put(
        aws.client("cloudwatch"),
        _NAMESPACE,
        {"DriftScore": verdict.score, "DriftDetected": detected},
        {"Classifier": place.classifier, "Environment": place.environment},
        about.until,
    )


@task(cache_policy=NO_CACHE)
def publish(
    check: Check,
    verdict: DriftVerdict,
    threshold: float,
    before: Sequence[DriftVerdict] = (),
    report_url: str = "",
) -> None:
    """Show the check in Prefect, with the trend and the way to the report."""
    links = {"Evidently's report in MLflow": report_url} if report_url else {}
    pictures = []
    if verdict.signals:
        points = [
            Point(one.about.until, one.score, one.outcome, one.about.version)
            for one in (*before, verdict)
        ]
        pictures.append(shown("Drift score over time", drawn.trend(points, threshold)))
    create_markdown_artifact(
        key=f"drift-{verdict.about.classifier}",
        markdown=page(verdict, links, check.uri, pictures),
        description=f"{verdict.outcome}: {headline(verdict)}",
    )
