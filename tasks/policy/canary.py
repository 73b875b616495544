"""What a rollout may conclude from what the new version answered beside the old one.

PASS is said only of enough whole numbers. Not judged: what callers did wrong (4xx).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tasks.policy import arms
from tasks.policy.sequential import p_above, p_worse
from tasks.records import Arm, Outcome

_SLOW = "slow answers"
# Errors and slow answers, each against the old version and the limit; probes; what callers heard.
_TESTS = 6


@dataclass(frozen=True, slots=True)
class Limits:
    """What each step must show; `alpha` is the chance that a whole rollout of a version that is
    neither worse nor over a limit is taken back, however often its `steps` are looked at."""

    max_error_rate: float = 0.01
    max_slow_share: float = 0.01  # of answers slower than the p99 limit: p99 is under it
    min_requests: int = 200
    max_answer_shift: float = 0.4  # of a label's share among the answers, and of unsure ones
    alpha: float = 0.05
    steps: int = 3

    @property
    def level(self) -> float:
        """What one test of one step may take of alpha (union bound)."""
        return self.alpha / (self.steps * _TESTS)


@dataclass(frozen=True, slots=True)
class Finding:
    outcome: Outcome
    reasons: tuple[str, ...]
    numbers: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Measure:
    """Bad answers of one kind on both sides, and the largest share that is allowed."""

    name: str
    new: tuple[int, int]
    old: tuple[int, int] | None
    limit: float
    limits: Limits

    @property
    def p_values(self) -> tuple[float, float]:
        """Of "not worse than the old version" and "not over the limit"."""
        worse = float(p_worse(*self.new, *self.old)) if self.old else 1.0
        return worse, float(p_above(*self.new, self.limit))

    def judged(self) -> tuple[Outcome, str]:
        worse, above = (one <= self.limits.level for one in self.p_values)
        new_over = _over(self.new, self.limit)
        old_over = self.old is not None and _over(self.old, self.limit)
        beside = f" against {_told(self.old)}" if self.old else ""
        seen = f"{self.name} {_told(self.new)}{beside}"
        doubt = f"beyond doubt (alpha {self.limits.alpha:g})"
        if worse:
            return Outcome.FAIL, f"{seen}: worse {doubt}"
        limit = f"the limit {_percent(self.limit)}"
        if not new_over:
            return Outcome.PASS, f"{seen}: within {limit}{', not shown worse' if beside else ''}"
        if old_over:
            return Outcome.PASS, f"{seen}: both over {limit}, the new version not shown worse"
        if above:
            return Outcome.FAIL, f"{seen}: over {limit} {doubt}"
        return Outcome.INCONCLUSIVE, f"{seen}: over {limit}, but not beyond doubt"


def judge(new: Arm, old: Arm | None, limits: Limits) -> Finding:
    """One look at one step; both arms over the same minutes, `old` None when all callers get `new`.

    FAIL: beyond doubt worse than `old`, or over a limit that `old` keeps. Even few requests may
    show that. INCONCLUSIVE: too few requests, or over a limit but not beyond doubt.
    ERROR: numbers are missing or cannot be.
    """
    sides = [("new", new)] if old is None else [("new", new), ("old", old)]
    if broken := tuple(one for side, arm in sides for one in arms.broken(side, arm)):
        return Finding(Outcome.ERROR, broken, {})
    measures = _measures(new, old, limits)
    numbers = {name: one for side, arm in sides for name, one in arms.numbers(side, arm).items()}
    for kind, measure in zip(("errors", "slow"), measures, strict=True):
        numbers[f"{kind}_p_worse"], numbers[f"{kind}_p_over"] = measure.p_values
    judged = [measure.judged() for measure in measures]
    judged += [(Outcome.ERROR, one) for side, arm in sides for one in arms.missing(side, arm)]
    judged += [
        (
            Outcome.INCONCLUSIVE,
            f"{side} version {arm.version}: {_few(arm.requests, limits, 'requests')}",
        )
        for side, arm in sides
        if arm.requests < limits.min_requests
    ]
    return _concluded(judged, numbers)


def slow_only(finding: Finding) -> bool:
    """Whether nothing but slow answers made it FAIL, which more instances may cure."""
    slow = all(reason.startswith(_SLOW) for reason in finding.reasons)
    return finding.outcome is Outcome.FAIL and slow


def judge_answers(answers: Iterable[tuple[str, str, str]], limits: Limits) -> Finding:
    """Label, new's and old's answer per text, each text once: is the new version right less often?

    Texts that both or neither have right tell nothing; of the others, half are new's by chance.
    """
    asked = list(answers)
    rows = len(asked)
    if empty := sum(not all(row) for row in asked):
        return Finding(Outcome.ERROR, (f"{empty} of {rows} texts without label or answer",), {})
    if not rows:
        return Finding(Outcome.INCONCLUSIVE, (_few(0, limits, "texts"),), {"texts": 0.0})
    lost = sum(new != label == old for label, new, old in asked)
    won = sum(new == label != old for label, new, old in asked)
    right = sum(new == label for label, new, _ in asked)
    numbers = {
        "texts": float(rows),
        "new_accuracy": right / rows,
        "old_accuracy": (right + lost - won) / rows,
        "agreement": sum(new == old for _, new, old in asked) / rows,
        "answers_p_worse": float(p_above(lost, lost + won, 0.5)),
    }
    seen = (
        f"accuracy {numbers['new_accuracy']:.3f} against {numbers['old_accuracy']:.3f} on {rows:,}"
        f" texts, the same answer to {_percent(numbers['agreement'])}"
    )
    if numbers["answers_p_worse"] <= limits.level:
        doubt = f"worse beyond doubt (alpha {limits.alpha:g})"
        return Finding(Outcome.FAIL, (f"{seen}: {doubt}",), numbers)
    if rows < limits.min_requests:
        return Finding(Outcome.INCONCLUSIVE, (f"{seen}: {_few(rows, limits, 'texts')}",), numbers)
    return Finding(Outcome.PASS, (f"{seen}: not shown worse",), numbers)


def judge_share(name: str, hits: int, of: int, limit: float, limits: Limits) -> Finding:
    """Whether a share of what was counted is over its limit; FAIL only beyond doubt."""
    outcome, reason = _Measure(name, (hits, of), None, limit, limits).judged()
    return Finding(outcome, (reason,), {name: hits / max(of, 1)})


def beside(finding: Finding, answers: Finding) -> Finding:
    """The finding, unless the answers are bad: these take back, and never let pass or wait."""
    if answers.outcome is Outcome.FAIL:
        reasons, outcome = (*answers.reasons, *finding.reasons), Outcome.FAIL
    elif finding.outcome is Outcome.FAIL:
        reasons, outcome = finding.reasons, Outcome.FAIL
    else:
        reasons, outcome = (*finding.reasons, *answers.reasons), finding.outcome
    return Finding(outcome, reasons, finding.numbers | answers.numbers)


def together(*findings: Finding) -> Finding:
    """The gravest of them with its reasons, and all numbers."""
    judged = [(one.outcome, reason) for one in findings for reason in one.reasons]
    return _concluded(judged, {name: n for one in findings for name, n in one.numbers.items()})


def _measures(new: Arm, old: Arm | None, limits: Limits) -> tuple[_Measure, _Measure]:
    errors = (old.errors, old.requests) if old else None
    slow = (old.slow, old.requests) if old else None
    return (
        _Measure("errors", (new.errors, new.requests), errors, limits.max_error_rate, limits),
        _Measure(_SLOW, (new.slow, new.requests), slow, limits.max_slow_share, limits),
    )


def _concluded(judged: list[tuple[Outcome, str]], numbers: dict[str, float]) -> Finding:
    """The gravest outcome with the reasons that led to it."""
    for outcome in (Outcome.FAIL, Outcome.ERROR, Outcome.INCONCLUSIVE, Outcome.PASS):
        if reasons := tuple(reason for one, reason in judged if one is outcome):
            break
    return Finding(outcome, reasons, numbers)


def _over(counted: tuple[int, int], limit: float) -> bool:
    bad, requests = counted
    return bad > limit * requests


def _told(counted: tuple[int, int]) -> str:
    bad, requests = counted
    return f"{_percent(bad / max(requests, 1))} of {requests:,}"


def _percent(share: float) -> str:
    return f"{share * 100:.2f} %"


def _few(count: int, limits: Limits, what: str) -> str:
    return f"{count:,} of at least {limits.min_requests:,} {what}"
