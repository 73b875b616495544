"""Whether an evaluation can be judged at all: the right models and rows, and numbers that agree."""

from collections.abc import Iterator, Sequence
from math import isclose, isfinite

from training.formats import Answers, Evaluation, ModelScore


def problems(
    evaluation: Evaluation,
    challenger_digest: str,
    champion_digest: str | None,
    snapshot_sha256: str,
) -> tuple[str, ...]:
    """All that is wrong with it; whoever judges it in spite of that judges something else."""
    champion = evaluation.champion
    identities = (
        ("challenger", evaluation.challenger.bundle_digest, challenger_digest),
        ("champion", champion.bundle_digest if champion else None, champion_digest),
        ("snapshot", evaluation.snapshot_sha256, snapshot_sha256),
    )
    found = [
        f"{name} is {_short(there)} in the evaluation, {_short(asked)} was asked for;"
        " the log of the evaluation job says why"
        for name, there, asked in identities
        if there != asked
    ]
    for who, score in (("challenger", evaluation.challenger), ("champion", champion)):
        if score:
            found += _bad_scores(who, score, evaluation.labels)
    # Answers are checked against scores only when the scores themselves are sound.
    return tuple(found or _bad_answers(evaluation))


def numbers(evaluation: Evaluation) -> dict[str, float]:
    """The figures that are kept with the verdict; those that are no number are left out."""
    kept: dict[str, float] = {"rows": float(evaluation.rows)}
    for who, score in (("", evaluation.challenger), ("champion_", evaluation.champion)):
        if score is not None:
            kept |= {
                f"{who}accuracy": score.accuracy,
                f"{who}macro_f1": score.macro_f1,
                f"{who}ece": score.ece,
                f"{who}p95_ms": score.latency.p95_ms,
            }
    return {name: value for name, value in kept.items() if isfinite(value)}


def _bad_scores(who: str, score: ModelScore, labels: Sequence[str]) -> Iterator[str]:
    if missing := sorted(set(labels) - set(score.classes)):
        yield f"no numbers for class {', '.join(missing)} of the {who}"
    recalls = {f"recall of {label}": one.recall for label, one in score.classes.items()}
    for name, value in {"accuracy": score.accuracy, "macro-F1": score.macro_f1, **recalls}.items():
        if not 0 <= value <= 1:
            yield f"{who} {name} is not a number from 0 to 1"


def _bad_answers(evaluation: Evaluation) -> Iterator[str]:
    answers, rows = evaluation.answers, evaluation.rows
    if answers is None:
        yield "the evaluation holds no answers: it is of an older release, train and evaluate again"
        return
    sides = [("challenger", answers.challenger, evaluation.challenger)]
    if evaluation.champion:
        sides.append(("champion", answers.champion, evaluation.champion))
    elif answers.champion:
        yield "there are answers of a champion but no scores of it"
    columns = {"truth": answers.truth, **{f"{who}'s answers": said for who, said, _ in sides}}
    wrong = [
        f"{name}: {len(column)} rows, the evaluation has {rows}"
        for name, column in columns.items()
        if len(column) != rows
    ] or [
        f"{name}: not the number of one of the {len(evaluation.labels)} labels"
        for name, column in columns.items()
        if not set(column) <= set(range(len(evaluation.labels)))
    ]
    yield from wrong
    for who, said, score in [] if wrong else sides:
        yield from _disagreements(who, answers, said, score, evaluation.labels)


def _disagreements(
    who: str, answers: Answers, said: Sequence[int], score: ModelScore, labels: Sequence[str]
) -> Iterator[str]:
    """Where the scores are not those of the answers, as when labels stand in another order."""
    rows, right = [0] * len(labels), [0] * len(labels)
    for truth, answer in zip(answers.truth, said, strict=True):
        rows[truth] += 1
        right[truth] += truth == answer
    figures = [("accuracy", score.accuracy, sum(right) / max(sum(rows), 1))]
    for at, label in enumerate(labels):
        one = score.classes[label]
        figures.append((f"rows of {label}", one.support, rows[at]))
        figures.append((f"recall of {label}", one.recall, right[at] / max(rows[at], 1)))
    for name, told, counted in figures:
        if not isclose(told, counted, abs_tol=1e-6):
            yield f"{who} {name} is {told:.6g}, but {counted:.6g} by its answers"


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "none"
