"""A verdict as the page that people read in Prefect."""

from collections.abc import Sequence

from tasks.policy import scores
from tasks.records import Verdict
from training.formats import Evaluation, ModelScore

MARKS = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "❔", "ERROR": "⚠️"}


def page(verdict: Verdict, evaluation: Evaluation | None, pictures: Sequence[str] = ()) -> str:
    """Outcome and reasons, both models side by side, parts of the rows, classes, pictures."""
    head = f"## {MARKS[verdict.outcome]} {verdict.classifier} version {verdict.version}: "
    parts = [head + verdict.outcome, *(f"- {reason}" for reason in verdict.reasons), ""]
    if evaluation:
        if evaluation.champion_refused:
            parts += [f"The champion was not scored: {evaluation.champion_refused}.", ""]
        parts += [*_models(evaluation), "", *scores.slices(evaluation)]
        parts += [part for picture in pictures for part in (picture, "")]
        parts += [*_classes(evaluation), ""]
    parts += _numbers(verdict)
    seen = f"Bundle `{verdict.bundle_digest[:12]}`, data `{verdict.snapshot_sha256[:12]}`"
    if verdict.evaluation_uri:
        seen += f", evidence `{verdict.evaluation_uri}`"
    parts.append(seen)
    return "\n".join(parts) + "\n"


def _numbers(verdict: Verdict) -> list[str]:
    """All that the gate reckoned with, as it named it."""
    if not verdict.numbers:
        return []
    table = ["| the gate's numbers | |", "|---|---:|"]
    return [*table, *(f"| {name} | {value:.4g} |" for name, value in verdict.numbers.items()), ""]


def _models(evaluation: Evaluation) -> list[str]:
    table = [f"| {evaluation.rows} test rows | challenger | champion |", "|---|---:|---:|"]
    columns = [_column(one) for one in (evaluation.challenger, evaluation.champion) if one]
    for name, seen in columns[0].items():
        old = columns[1].get(name, "-") if len(columns) > 1 else "-"
        table.append(f"| {name} | {seen} | {old} |")
    if paired := evaluation.paired:
        won, lost = paired.only_challenger, paired.only_champion
        table.append(f"| right where the other is wrong | {won} | {lost} |")
    return table


def _column(score: ModelScore) -> dict[str, str]:
    column = {
        "accuracy": f"{score.accuracy:.3f}",
        "macro-F1": f"{score.macro_f1:.3f}",
        "calibration error": f"{score.ece:.3f}",
    }
    for took in (score.latency, score.batch_latency):
        if took:
            name = "one text" if took.texts == 1 else f"{took.texts} texts"
            seen = f"{took.p50_ms:.0f} / {took.p95_ms:.0f} / {took.p99_ms:.0f} ms"
            column[f"{name}, p50 / p95 / p99"] = seen
    return column | {"rows per second": f"{score.rows_per_s:.1f}"}


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
