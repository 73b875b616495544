"""The model card: what a version is, how good, how it is used and undone. Generated, never typed.

Not in it: what nobody measured, such as fairness towards groups of people.
"""

from tasks.policy import intervals, scores
from tasks.policy.limits import limits
from tasks.policy.verdict_page import MARKS
from tasks.records import ModelVersion, Verdict
from training.formats import BundleManifest, Evaluation, SnapshotManifest


def card(
    version: ModelVersion,
    bundle: BundleManifest,
    data: SnapshotManifest,
    evaluation: Evaluation,
    verdict: Verdict,
) -> str:
    """The card of one version as Markdown; the same inputs give the same card."""
    parts = [
        f"# {version.name} version {version.version}",
        "",
        f"{MARKS[verdict.outcome]} **{verdict.outcome}**: {'; '.join(verdict.reasons)}",
        "",
        *_purpose(version, bundle),
        *_data(data),
        *["## Training", "", "| hyperparameter | value |", "|---|---|"],
        *[f"| {key} | {value} |" for key, value in sorted(bundle.hyperparameters.items())],
        *["", *scores.side_by_side(evaluation), *scores.per_class(evaluation, data)],
        *scores.slices(evaluation),
        *["## Limits", "", *(f"- {one}" for one in limits(bundle, evaluation))],
        *["", *_use(version)],
    ]
    return "\n".join(parts) + "\n"


def summary(evaluation: Evaluation, verdict: Verdict, version: ModelVersion) -> str:
    """The card in a few lines, for the registry's page."""
    score = evaluation.challenger
    accuracy = intervals.wilson(round(score.accuracy * evaluation.rows), evaluation.rows)
    return (
        f"{verdict.outcome}: {'; '.join(verdict.reasons)}\n\n"
        f"Accuracy {intervals.told(score.accuracy, accuracy)}, macro-F1 {score.macro_f1:.3f},"
        f" ECE {score.ece:.3f} on {evaluation.rows:,} test rows of snapshot"
        f" {version.snapshot_sha256[:12]}; one text p95 {score.latency.p95_ms:.0f} ms.\n\n"
        f"Trained by job {version.job_name}; the model card is evaluation/card.md of the run."
    )


def _purpose(version: ModelVersion, bundle: BundleManifest) -> list[str]:
    first, last = bundle.labels[:-1], bundle.labels[-1]
    return [
        f"Puts a text into one of {len(bundle.labels)} classes: {', '.join(first)} or {last}."
        f" Meant for texts like those of its data (below), task `{bundle.task}`.",
        "",
        "| what | |",
        "|---|---|",
        f"| base model | `{bundle.base_model}`, {bundle.total_parameters:,} parameters |",
        f"| reads | the first {bundle.max_length} tokens of a text |",
        f"| engine | {bundle.engine}{f', {bundle.engine_note}' if bundle.engine_note else ''} |",
        f"| bundle | `{version.bundle_digest}` |",
        f"| training job | `{version.job_name}` |",
        f"| code | git `{bundle.git_sha}` |",
        f"| MLflow run | `{version.run_id}` |",
        "",
        f"It lies at `{version.bundle_uri}`.",
        "",
    ]


def _data(data: SnapshotManifest) -> list[str]:
    counts = ", ".join(f"{file.rows:,} {split}" for split, file in data.files.items())
    gone = ", ".join(f"{count:,} {why}" for why, count in sorted(data.dropped.items()) if count)
    return [
        "## Data",
        "",
        f"Snapshot `{data.sha256}`: {counts} rows, from `{data.source}`."
        f" {data.rows_read:,} rows were read; dropped: {gone or 'none'}.{_labelled(data)}",
        "",
    ]


def _labelled(data: SnapshotManifest) -> str:
    if not data.feedback or not any(data.feedback.rows.values()):
        return ""
    counts = ", ".join(f"{count:,} {split}" for split, count in data.feedback.rows.items())
    return (
        f" Of the rows, {counts} are answers of this endpoint that callers labelled from"
        f" {data.feedback.since:%Y-%m-%d %H:%M} to {data.feedback.until:%Y-%m-%d %H:%M} UTC."
    )


def _use(version: ModelVersion) -> list[str]:
    name = version.classifier
    return [
        "## Use",
        "",
        'Ask the endpoint: `curl -H "X-API-Key: $KEY" -H "Content-Type: application/json" -d'
        ' \'{"text": "..."}\' ADDRESS/predict`, or `make predict`'
        f" with `CLASSIFIER={name} TEXT='...'`. The flow `deploy` tells ADDRESS; the answer names"
        " its version and bundle (`X-Model-Version`, `X-Bundle-Digest`).",
        "",
        f"Release: `prefect deployment run 'deploy/{name}' -p version='\"{version.version}\"'`.",
        "Undo: the same with the earlier version; the registry's alias `previous` names it.",
    ]
