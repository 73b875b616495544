"""Steps that enter a trained bundle into the registries."""

from datetime import UTC, datetime

from prefect.artifacts import create_markdown_artifact

from tasks.adapters import aws, packages, registry, results
from tasks.classifiers import Classifier
from tasks.pictures.base import png, shown
from tasks.pictures.evaluation import curve
from tasks.reasons import Reason
from tasks.records import Job, ModelVersion, Snapshot, cost_tags
from tasks.requests import Workplace
from tasks.retries import live
from training.formats import BundleManifest


@live
def read_bundle(job: Job) -> tuple[BundleManifest, str]:
    """What the job made: the bundle's manifest and the MLflow run."""
    return results.trained(aws.client("s3"), job.output_uri)


@live(task_run_name="register {config.registered_model}")
def register_version(
    config: Classifier, job: Job, manifest: BundleManifest, run_id: str, mlflow_uri: str
) -> ModelVersion:
    """Enter the bundle as a version; the same job twice is one version."""
    version = ModelVersion(
        classifier=config.name,
        name=config.registered_model,
        version="",
        run_id=run_id,
        bundle_uri=job.output_uri,
        bundle_digest=manifest.digest,
        snapshot_sha256=manifest.snapshot_sha256,
        job_name=job.name,
    )
    tags = {
        "training_date": datetime.now(UTC).date().isoformat(),
        "git_sha": manifest.git_sha,
        "accuracy": f"{manifest.metrics['accuracy']:.4f}",
        "macro_f1": f"{manifest.metrics['macro_f1']:.4f}",
        "approval_status": "pending",
    }
    return registry.register(registry.client(mlflow_uri), version, tags)


@live(task_run_name="list {version.name} version {version.version} as model package")
def list_package(version: ModelVersion, place: Workplace, serving_image: str) -> str:
    """Enter the bundle into the SageMaker model package group, pending approval."""
    return packages.create(
        aws.client("sagemaker"),
        f"{place.project}-{place.environment}-{version.classifier}",
        image=serving_image,
        bundle_uri=version.bundle_uri,
        bundle_digest=version.bundle_digest,
        metadata={"mlflow_version": version.version, "job": version.job_name},
        tags=cost_tags(place.project, place.environment, version.classifier),
    )


@live
def tag_reason(version: ModelVersion, reason: Reason, mlflow_uri: str) -> None:
    """Say on the version and on its run why it was made; the first reason is the one that stays."""
    client = registry.client(mlflow_uri)
    if "retrain_reason" in registry.get_tags(client, version.name, version.version):
        return
    tags = {"retrain_reason": reason.told, "retrain_request": reason.fingerprint}
    if reason.evidence:
        tags["retrain_evidence"] = reason.evidence.verdict_uri
    registry.tag_run(client, version.run_id, tags)
    registry.set_tags(client, version.name, version.version, tags)


@live
def name_challenger(version: ModelVersion, mlflow_uri: str) -> None:
    """Make the version the one that is evaluated next; the champion stays what it is."""
    client = registry.client(mlflow_uri)
    registry.set_alias(client, version.name, "challenger", version.version)


@live
def publish_training(
    version: ModelVersion, job: Job, manifest: BundleManifest, snapshot: Snapshot, mlflow_uri: str
) -> None:
    """Show in Prefect what was trained, on what, and its way there; the curve goes to MLflow too.

    Showing it again shows the same.
    """
    training = results.curve(aws.client("s3"), job.output_uri)
    picture = png(curve(training))
    registry.log_files(
        registry.client(mlflow_uri), version.run_id, "training", {"curve.png": picture}
    )
    how = "reused" if job.reused else f"{job.seconds:.0f} s"
    accuracy, macro_f1 = (manifest.metrics[name] for name in ("accuracy", "macro_f1"))
    rows = {
        "Version": f"{version.name} version {version.version}, challenger",
        "Snapshot": f"{snapshot.sha256[:12]}, {snapshot.rows.get('train', 0)} training rows",
        "Base model": f"{manifest.base_model}, {manifest.total_parameters:,} parameters",
        "Job": f"`{job.name}`, {how}",
        "Bundle": f"`{manifest.digest[:12]}`",
        "Engine": _engine(manifest),
        "On validation rows": f"accuracy {accuracy:.4f}, macro-F1 {macro_f1:.4f}",
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    create_markdown_artifact(
        key=f"train-{version.classifier}",
        markdown="\n".join(
            [
                *(f"## {version.classifier}: trained", "", "| what | |", "|---|---|", *lines),
                *("", f"The bundle lies at `{version.bundle_uri}`."),
                *("", shown("Training curve", picture), ""),
            ]
        ),
        description=f"{version.name} version {version.version}",
    )


def _engine(manifest: BundleManifest) -> str:
    """Which engine serves the version, and how its answers compare to those of the fp32 model."""
    if manifest.engine_note:
        return f"{manifest.engine}, slower: {manifest.engine_note}".replace("|", "/")
    if "engine_rows" not in manifest.metrics:
        return manifest.engine
    rows, gained, agreed = (
        manifest.metrics[f"engine_{name}"] for name in ("rows", "accuracy_difference", "agreement")
    )
    return (
        f"{manifest.engine}; beside fp32 on {rows:,.0f} validation rows: accuracy"
        f" {gained * 100:+.2f} points, {agreed:.1%} the same answers"
    )
