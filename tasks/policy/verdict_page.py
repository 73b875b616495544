"""A verdict as the page that people read in Prefect."""

from tasks.records import Verdict
from training.formats import Evaluation, ModelScore

_MARKS = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "❔", "ERROR": "⚠️"}


def page(verdict: Verdict, evaluation: Evaluation | None) -> str:
    """Outcome and reasons, both models side by side, and every class."""
    head = f"## {_MARKS[verdict.outcome]} {verdict.classifier} version {verdict.version}: "
    parts = [head + verdict.outcome, *(f"- {reason}" for reason in verdict.reasons), ""]
    if evaluation:
        parts += [*_models(evaluation), "", *_classes(evaluation), ""]
    told = f"Bundle `{verdict.bundle_digest[:12]}`, data `{verdict.snapshot_sha256[:12]}`"
    if verdict.evaluation_uri:
        told += f", evidence `{verdict.evaluation_uri}`"
    parts.append(told)
    return "\n".join(parts) + "\n"


def _models(evaluation: Evaluation) -> list[str]:
    challenger, champion = evaluation.challenger, evaluation.champion
    rows = [
        ("accuracy", "{0.accuracy:.3f}"),
        ("macro-F1", "{0.macro_f1:.3f}"),
        ("calibration error", "{0.ece:.3f}"),
        (
            "p50 / p95 / p99",
            "{0.latency.p50_ms:.0f} / {0.latency.p95_ms:.0f} / {0.latency.p99_ms:.0f} ms",
        ),
        ("rows per second", "{0.rows_per_s:.1f}"),
    ]
    table = [f"| {evaluation.rows} test rows | challenger | champion |", "|---|---:|---:|"]
    table += [
        f"| {name} | {_cell(form, challenger)} | {_cell(form, champion)} |" for name, form in rows
    ]
    if paired := evaluation.paired:
        won, lost = paired.only_challenger, paired.only_champion
        table.append(f"| right where the other is wrong | {won} | {lost} |")
    return table


def _cell(form: str, score: ModelScore | None) -> str:
    return form.format(score) if score else "-"


def _classes(evaluation: Evaluation) -> list[str]:
    table = ["| class | rows | precision | recall | F1 | champion's recall |"]
    table.append("|---|---:|---:|---:|---:|---:|")
    for label, one in evaluation.challenger.classes.items():
        old = evaluation.champion.classes.get(label) if evaluation.champion else None
        table.append(
            f"| {label} | {one.support} | {one.precision:.3f} | {one.recall:.3f} | {one.f1:.3f}"
            f" | {f'{old.recall:.3f}' if old else '-'} |"
        )
    return table
