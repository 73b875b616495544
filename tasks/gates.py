"""Steps that judge a challenger and write the verdict down everywhere it is looked for."""

from dataclasses import replace

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import ValidationError

from tasks.adapters import aws, packages, reference, registry, results, verdicts
from tasks.classifiers import Classifier
from tasks.errors import GateFailed
from tasks.policy import gates
from tasks.records import Job, ModelVersion, Outcome, Verdict
from tasks.requests import Workplace
from tasks.retries import live
from training.formats import Evaluation

_APPROVAL: dict[Outcome, packages.Approval] = {
    Outcome.PASS: "Approved",
    Outcome.FAIL: "Rejected",
    Outcome.INCONCLUSIVE: "PendingManualApproval",
    Outcome.ERROR: "PendingManualApproval",
}


@live
def find_champion(mlflow_uri: str, model: str) -> ModelVersion | None:
    """The version that serves; None only when the registry says that there is none."""
    return registry.get_by_alias(registry.client(mlflow_uri), model, "champion")


@live
def read_evaluation(job: Job) -> Evaluation | None:
    """What the evaluation job measured; None when it wrote something else."""
    try:
        return Evaluation.model_validate_json(results.evaluation(aws.client("s3"), job.output_uri))
    except ValidationError:
        return None


@task(cache_policy=NO_CACHE, task_run_name="judge version {challenger.version}")
def judge(
    config: Classifier,
    challenger: ModelVersion,
    champion: ModelVersion | None,
    evaluation: Evaluation | None,
    job: Job,
) -> Verdict:
    champion_digest = champion.bundle_digest if champion else None
    outcome, reasons, numbers = gates.judge(
        evaluation,
        config.gates,
        challenger.bundle_digest,
        champion_digest,
        challenger.snapshot_sha256,
    )
    return Verdict(
        outcome=outcome,
        reasons=reasons,
        numbers=numbers,
        classifier=config.name,
        version=challenger.version,
        bundle_digest=challenger.bundle_digest,
        champion_digest=champion_digest,
        snapshot_sha256=challenger.snapshot_sha256,
        evaluation_uri=f"{job.output_uri}/evaluation.json",
    )


@task(cache_policy=NO_CACHE)
def already_champion(champion: ModelVersion) -> Verdict:
    """PASS without a job: there is nothing that the champion could lose to itself."""
    return Verdict(
        outcome=Outcome.PASS,
        reasons=(f"version {champion.version} is the champion itself",),
        numbers={},
        classifier=champion.classifier,
        version=champion.version,
        bundle_digest=champion.bundle_digest,
        champion_digest=champion.bundle_digest,
        snapshot_sha256=champion.snapshot_sha256,
        evaluation_uri="",
    )


@live
def record_verdict(bucket: str, verdict: Verdict) -> str:
    """Put the verdict where `deploy` looks for it."""
    return verdicts.write(aws.client("s3"), bucket, verdict)


@live
def has_reference(bucket: str, version: ModelVersion) -> bool:
    """Whether later texts can be compared with those that the version was tested on."""
    return reference.exists(aws.client("s3"), bucket, version.classifier, version.bundle_digest)


@live
def keep_reference(bucket: str, verdict: Verdict) -> str:
    """Let the verdict on the bundle lead to the new evaluation; an earlier decision stays."""
    s3 = aws.client("s3")
    before = verdicts.read(s3, bucket, verdict.classifier, verdict.bundle_digest)
    kept = replace(before, evaluation_uri=verdict.evaluation_uri) if before else verdict
    return verdicts.write(s3, bucket, kept)


@live
def tag_version(version: ModelVersion, verdict: Verdict, mlflow_uri: str) -> None:
    """Put outcome, reasons and approval on the MLflow version."""
    tags = {"verdict": str(verdict.outcome), "verdict_reasons": "; ".join(verdict.reasons)}
    tags["approval_status"] = _APPROVAL[verdict.outcome].lower()
    registry.set_tags(registry.client(mlflow_uri), version.name, version.version, tags)


@live
def approve_package(version: ModelVersion, verdict: Verdict, place: Workplace) -> str:
    """Approve the SageMaker model package on PASS, reject it on FAIL; else it stays pending."""
    sagemaker = aws.client("sagemaker")
    group = f"{place.project}-{place.environment}-{version.classifier}"
    approval = _APPROVAL[verdict.outcome]
    if found := packages.find(sagemaker, group, version.bundle_digest):
        packages.decide(sagemaker, found.arn, approval, "; ".join(verdict.reasons))
    return approval


@task(cache_policy=NO_CACHE)
def demand_pass(verdict: Verdict) -> Verdict:
    """The verdict when it is PASS; GateFailed with its reasons when it is anything else."""
    if verdict.outcome is not Outcome.PASS:
        gate = f"{verdict.classifier} version {verdict.version} is {verdict.outcome}"
        raise GateFailed(gate, verdict.reasons)
    return verdict
