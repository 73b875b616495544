"""Whether a challenger may go out: floors on its own numbers, then the champion on the same rows.

PASS is said only of what was shown. A challenger that is neither shown to satisfy the rule nor
shown to be worse is INCONCLUSIVE; what cannot be judged is ERROR. Not judged: calibration, latency.
"""

from collections.abc import Sequence
from math import ceil

from tasks.classifiers import Gates
from tasks.policy import evidence
from tasks.policy.comparison import DRAWS, Change, Z, compare
from tasks.policy.regressions import judge_classes, worse_slices
from tasks.records import Outcome
from training.formats import Answers, Evaluation

Judgement = tuple[Outcome, tuple[str, ...], dict[str, float]]

_CLASS_ROWS = 20  # fewer rows of a class say too little about its recall
_POWER = 0.84  # normal quantile of 80 %: how sure a repetition with `needed` rows is to tell
_GRAVITY = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)
_METRICS = {"accuracy": "accuracy", "macro_f1": "macro-F1"}


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
    numbers = evidence.numbers(evaluation)
    wanted = (challenger_digest, champion_digest, snapshot_sha256)
    if problems := evidence.problems(evaluation, *wanted):
        return Outcome.ERROR, problems, numbers
    if evaluation.rows < gates.minimum_rows:
        few = f"{evaluation.rows} test rows, at least {gates.minimum_rows} are needed"
        return Outcome.INCONCLUSIVE, (few,), numbers
    under, cleared = _floors(evaluation, gates)
    if under:
        return Outcome.FAIL, under, numbers
    if evaluation.champion is None or evaluation.answers is None:
        return Outcome.PASS, (*cleared, "no champion to compare with"), numbers
    outcome, reasons, found = judge_change(evaluation.answers, evaluation.labels, gates)
    slices = worse_slices(evaluation.slices)
    return outcome, (*cleared, *reasons, *slices), numbers | found


def judge_change(
    answers: Answers, labels: Sequence[str], gates: Gates, draws: int = DRAWS
) -> Judgement:
    """The challenger beside the champion: by the rule overall, and without a lost class."""
    found = compare(answers, labels, gates.metric, draws)
    outcome, reason, numbers = _overall(found.overall, gates)
    class_outcome, class_reasons = judge_classes(found.classes, gates.class_margin)
    return min(outcome, class_outcome, key=_GRAVITY.index), (reason, *class_reasons), numbers


def _overall(change: Change, gates: Gates) -> tuple[Outcome, str, dict[str, float]]:
    loss = gates.margin if gates.rule == "not-worse" else 0
    goal = "better" if gates.rule == "better" else f"not more than {gates.margin:.3f} worse"
    low, high = change.low(loss), change.high()
    numbers = {"difference": change.difference, "difference_low": low, "difference_high": high}
    seen = (
        f"{_METRICS[gates.metric]} {change.difference:+.3f} against the champion"
        f" (95 % interval {low:+.3f} to {high:+.3f}, {change.rows} rows)"
    )
    if low > -loss:
        return Outcome.PASS, f"{seen}: {goal}", numbers
    if high < 0:
        return Outcome.FAIL, f"{seen}: worse", numbers
    if change.difference <= -loss:
        unclear = "and more rows would not show it at this difference"
    else:
        errors = (Z + _POWER) * change.error_at(loss) / (change.difference + loss)
        needed = ceil(change.rows * max(errors, 1) ** 2)
        numbers["rows_needed"] = float(needed)
        unclear = f"about {needed:,} rows would show it if the difference is real"
    return Outcome.INCONCLUSIVE, f"{seen}: not shown to be {goal}, {unclear}", numbers


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
        f"{name} {seen:.4f} under the floor {floor:.3f}"
        for name, seen, floor in floors + recalls
        if seen < floor
    )
    # Of classes that pass, the lowest tells enough.
    told = floors + sorted(recalls, key=lambda one: one[1])[:1]
    cleared = [f"{name} {seen:.3f} >= {floor:.3f}" for name, seen, floor in told if floor]
    if score.accuracy < gates.accuracy_target:
        cleared.append(f"the target accuracy {gates.accuracy_target:.3f} is not reached")
    return under, tuple(cleared)
