"""Tables of scores, as the verdict's page and the model card show them."""

from tasks.policy import intervals
from training.formats import Evaluation, ModelScore, SnapshotManifest


def side_by_side(evaluation: Evaluation) -> list[str]:
    """Both models side by side, with 95 % intervals."""
    names = ("accuracy", "macro-F1", "calibration error", "one text p50 / p95 / p99", "batches")
    cells = [_cells(one, evaluation.rows) for one in (evaluation.challenger, evaluation.champion)]
    return [
        f"## Results on {evaluation.rows:,} test rows",
        "",
        "95 % intervals in brackets: Wilson's, for macro-F1 the bootstrap's. Times are those of the"
        " evaluation job's machine.",
        "",
        "| | this version | champion of the day |",
        "|---|---:|---:|",
        *(f"| {' | '.join(row)} |" for row in zip(names, *cells, strict=True)),
        "",
    ]


def _cells(score: ModelScore | None, rows: int) -> list[str]:
    if score is None:
        return ["-"] * 5
    one, batch = score.latency, score.batch_latency
    accuracy = intervals.wilson(round(score.accuracy * rows), rows)
    return [
        intervals.told(score.accuracy, accuracy),
        intervals.told(score.macro_f1, intervals.macro_f1(score.confusion)),
        f"{score.ece:.3f}",
        f"{one.p50_ms:.0f} / {one.p95_ms:.0f} / {one.p99_ms:.0f} ms",
        (f"{batch.p50_ms:.0f} ms for {batch.texts}, " if batch else "")
        + f"{score.rows_per_s:.0f} texts/s",
    ]


def per_class(evaluation: Evaluation, data: SnapshotManifest) -> list[str]:
    table = ["| class | trained on | tested on | precision | recall | F1 |"]
    table.append("|---|---:|---:|---:|---:|---:|")
    trained = data.files["train"].labels
    for label, one in evaluation.challenger.classes.items():
        recall = intervals.wilson(one.recall * one.support, one.support)
        seen = intervals.told(one.recall, recall) if one.support else "no rows"
        table.append(
            f"| {label} | {trained.get(label, 0):,} | {one.support:,} | {one.precision:.3f}"
            f" | {seen} | {one.f1:.3f} |"
        )
    return [*table, ""]


def slices(evaluation: Evaluation) -> list[str]:
    """Accuracy on each part of the rows; none when the evaluation told no parts."""
    if not evaluation.slices:
        return []
    table = [
        "| part | rows | accuracy (95 %) | champion | won / lost | enough rows |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for one in evaluation.slices:
        seen, old, pairs = "-", "-", "-"
        if one.rows:
            seen = intervals.told(one.right / one.rows, intervals.wilson(one.right, one.rows))
        if one.rows and one.champion_right is not None:
            old = f"{one.champion_right / one.rows:.3f}"
            pairs = f"{one.only_challenger} / {one.only_champion}"
        enough = "yes" if one.adequate else "no"
        table.append(f"| {one.name} | {one.rows} | {seen} | {old} | {pairs} | {enough} |")
    return [*table, "", *(f"- {one.name}: {one.rule}" for one in evaluation.slices), ""]
