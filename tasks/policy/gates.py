"""Whether a challenger may go out: floors on its own numbers, then a fair comparison.

Not judged yet: slices of the data, calibration, latency.
"""

from math import isfinite

from tasks.classifiers import Gates
from tasks.policy.comparison import compare
from tasks.records import Outcome
from training.formats import Evaluation, ModelScore

Judgement = tuple[Outcome, tuple[str, ...], dict[str, float]]

_CLASS_ROWS = 20  # fewer rows of a class say too little about its recall


def judge(
    evaluation: Evaluation | None,
    gates: Gates,
    challenger_digest: str,
    champion_digest: str | None,
    snapshot_sha256: str,
) -> Judgement:
    """The outcome with its reasons and numbers; whatever cannot be judged is ERROR, never PASS."""
    if evaluation is None:
        return Outcome.ERROR, ("evaluation.json does not hold an evaluation",), {}
    wanted = (challenger_digest, champion_digest, snapshot_sha256)
    if problems := _problems(evaluation, wanted):
        return Outcome.ERROR, problems, _numbers(evaluation)
    numbers = _numbers(evaluation)
    if evaluation.rows < gates.minimum_rows:
        few = f"{evaluation.rows} test rows, at least {gates.minimum_rows} are needed"
        return Outcome.INCONCLUSIVE, (few,), numbers
    under, cleared = _floors(evaluation, gates)
    if under:
        return Outcome.FAIL, under, numbers
    if evaluation.paired is None:
        return Outcome.PASS, (*cleared, "no champion to compare with"), numbers
    outcome, reason, interval = compare(evaluation.paired, gates.margin)
    return outcome, (*cleared, reason), numbers | interval


def _problems(evaluation: Evaluation, wanted: tuple[str, str | None, str]) -> tuple[str, ...]:
    champion = evaluation.champion
    found = (
        evaluation.challenger.bundle_digest,
        champion.bundle_digest if champion else None,
        evaluation.snapshot_sha256,
    )
    names = ("challenger", "champion", "snapshot")
    problems = [
        f"{name} is {_short(there)} in the evaluation, {_short(asked)} was asked for;"
        " the log of the evaluation job says why"
        for name, there, asked in zip(names, found, wanted, strict=True)
        if there != asked
    ]
    if (champion is None) != (evaluation.paired is None):
        problems.append("champion and paired counts must be there together")
    if evaluation.paired and sum(dict(evaluation.paired).values()) != evaluation.rows:
        problems.append(f"paired counts do not add up to {evaluation.rows} rows")
    if missing := sorted(set(evaluation.labels) - set(evaluation.challenger.classes)):
        problems.append(f"no numbers for class {', '.join(missing)}")
    for who, score in (("challenger", evaluation.challenger), ("champion", champion)):
        bad = [name for name, value in _measures(score).items() if not 0 <= value <= 1]
        problems += [f"{who} {name} is not a number from 0 to 1" for name in bad]
    return tuple(problems)


def _measures(score: ModelScore | None) -> dict[str, float]:
    if score is None:
        return {}
    recalls = {f"recall of {label}": one.recall for label, one in score.classes.items()}
    return {"accuracy": score.accuracy, "macro-F1": score.macro_f1, **recalls}


def _floors(evaluation: Evaluation, gates: Gates) -> tuple[tuple[str, ...], tuple[str, ...]]:
    score = evaluation.challenger
    floors = [
        ("accuracy", score.accuracy, gates.accuracy),
        ("macro-F1", score.macro_f1, gates.macro_f1),
    ]
    recalls = [
        (f"recall of {label}", one.recall, gates.class_recall)
        for label, one in score.classes.items()
        if one.support >= _CLASS_ROWS
    ]
    under = tuple(
        f"{name} {seen:.3f} under the floor {floor:.3f}"
        for name, seen, floor in floors + recalls
        if seen < floor
    )
    # Of classes that pass, the lowest tells enough.
    told = floors + sorted(recalls, key=lambda one: one[1])[:1]
    cleared = tuple(f"{name} {seen:.3f} >= {floor:.3f}" for name, seen, floor in told if floor)
    return under, cleared


def _numbers(evaluation: Evaluation) -> dict[str, float]:
    numbers: dict[str, float] = {"rows": float(evaluation.rows)}
    for who, score in (("", evaluation.challenger), ("champion_", evaluation.champion)):
        if score is not None:
            numbers |= {
                f"{who}accuracy": score.accuracy,
                f"{who}macro_f1": score.macro_f1,
                f"{who}ece": score.ece,
                f"{who}p95_ms": score.latency.p95_ms,
            }
    return {name: value for name, value in numbers.items() if isfinite(value)}


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "none"
