"""Whether a request becomes a retrain: now, later, never, or not before a person says so."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tasks.policy.retrains import refused_in_a_row, when
from tasks.reasons import ASKED_BY_MONITOR, MEASURED, Ending, Journal, Request, Run
from tasks.retrain_policy import Retrain

_WEEK = timedelta(days=7)


class Answer(StrEnum):
    START = "START"
    WAIT = "WAIT"
    DROP = "DROP"
    STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True)
class Ruling:
    """The answer and why, with numbers; when WAIT may be asked again; what ends STOPPED."""

    answer: Answer
    reason: str
    until: datetime | None = None
    command: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """All that a ruling hangs on. `bound_hours`: machine hours that one retrain takes at most."""

    journal: Journal
    request: Request
    limits: Retrain
    serving: str
    bound_hours: float
    now: datetime

    @property
    def cooldown(self) -> timedelta:
        return timedelta(hours=self.limits.cooldown_hours)


def decide(case: Case) -> Ruling:
    """The first rule that objects; START when none does."""
    rules: tuple[Callable[[Case], Ruling | None], ...] = (_answered, _one_at_a_time)
    if case.request.reason.kind != "manual":
        rules += (_stale, _same_episode, _stopped, _cooling, _too_many, _too_dear)
    for rule in rules:
        if ruling := rule(case):
            break
    else:
        return Ruling(Answer.START, _allowed(case))
    if ruling.answer is Answer.WAIT and case.request.reason.kind not in ASKED_BY_MONITOR:
        # Nobody keeps such a request: a person and a schedule ask again by themselves.
        return Ruling(Answer.DROP, ruling.reason, ruling.until)
    return ruling


def _answered(case: Case) -> Ruling | None:
    for run in reversed(case.journal.ended):
        if run.fingerprint == case.request.fingerprint:
            return Ruling(Answer.DROP, f"its retrain ended {_ended(run)}")
    return None


def _one_at_a_time(case: Case) -> Ruling | None:
    if (run := case.journal.current) is None:
        return None
    told = f"a retrain ({run.kind}) is under way since {when(run.began)}, held by {run.holder}"
    return Ruling(Answer.WAIT, told, run.until)


def _stale(case: Case) -> Ruling | None:
    evidence = case.request.reason.evidence
    if evidence is None or not case.serving or evidence.version == case.serving:
        return None
    told = f"it is about version {evidence.version}, version {case.serving} serves now"
    return Ruling(Answer.DROP, told)


def _same_episode(case: Case) -> Ruling | None:
    """Evidence that a retrain which did not help had, or that came right after it."""
    if case.request.reason.kind not in MEASURED:
        return None
    for run in reversed(case.journal.ended):
        if run.kind in MEASURED and run.version == case.serving and run.ended:
            if case.request.at < run.ended + case.cooldown:
                told = f"the retrain of this episode ended {_ended(run)}"
                return Ruling(Answer.DROP, told)
            break
    return None


def _stopped(case: Case) -> Ruling | None:
    row = refused_in_a_row(case.journal)
    if case.request.reason.kind not in ASKED_BY_MONITOR or len(row) < case.limits.stop_after:
        return None
    told = f"{len(row)} retrains in a row were not promoted, the last one {_ended(row[-1])}"
    again = f"prefect deployment run 'pipeline/{case.request.classifier}' -p resume=true"
    return Ruling(Answer.STOPPED, told, command=again)


def _cooling(case: Case) -> Ruling | None:
    weighty = [run.ended for run in case.journal.ended if _weighs(run) and run.ended]
    if not weighty or case.now >= weighty[-1] + case.cooldown:
        return None
    until = weighty[-1] + case.cooldown
    told = f"{_hours(case.now - weighty[-1])} after the last retrain, the cooldown is "
    told += f"{case.limits.cooldown_hours:g} hours: not before {when(until)}"
    return Ruling(Answer.WAIT, told, until)


def _too_many(case: Case) -> Ruling | None:
    recent = _recent(case)
    if len(recent) < case.limits.max_per_week:
        return None
    until = recent[-case.limits.max_per_week].began + _WEEK
    told = f"{len(recent)} retrains in 7 days, max_per_week is {case.limits.max_per_week}"
    return Ruling(Answer.WAIT, f"{told}: not before {when(until)}", until)


def _too_dear(case: Case) -> Ruling | None:
    limit, price = case.limits.max_cost_usd, case.limits.dollars_per_hour
    if limit is None or price is None:
        return None
    ahead = _ahead_hours(case) * price
    if ahead > limit:
        told = f"one retrain costs about {ahead:.2f} dollars, max_cost_usd is {limit:.2f}"
        raised = f"raise max_cost_usd of [retrain] in classifiers/{case.request.classifier}.toml"
        return Ruling(Answer.STOPPED, told, command=raised)
    paid = [run for run in case.journal.runs if case.now - run.began < _WEEK and run.machine_hours]
    left = spent = sum(run.machine_hours for run in paid) * price
    for run in paid:
        if left + ahead <= limit:
            break
        left -= run.machine_hours * price
        until = run.began + _WEEK
    if left == spent:
        return None
    told = f"{spent:.2f} dollars in 7 days and about {ahead:.2f} for one more, max_cost_usd is "
    return Ruling(Answer.WAIT, f"{told}{limit:.2f}: not before {when(until)}", until)


def _ahead_hours(case: Case) -> float:
    """Machine hours of one more retrain: the mean of complete ones, else what it takes at most."""
    whole = (Ending.PROMOTED, Ending.REFUSED)
    known = [run.machine_hours for run in case.journal.ended if run.ending in whole]
    known = [hours for hours in known if hours]
    return sum(known) / len(known) if known else case.bound_hours


def _recent(case: Case) -> list[Run]:
    return [run for run in case.journal.ended if _weighs(run) and case.now - run.began < _WEEK]


def _weighs(run: Run) -> bool:
    """Whether the run counts as a retrain that nobody asked for by hand."""
    if run.kind == "weekly":
        return run.ending is Ending.PROMOTED
    return run.kind != "manual"


def _allowed(case: Case) -> str:
    limits, reason = case.limits, case.request.reason
    if reason.kind == "manual":
        return "a person asked for it"
    told = [f"{len(_recent(case))} of {limits.max_per_week} retrains in 7 days"]
    told.append(f"{len(refused_in_a_row(case.journal))} of {limits.stop_after} not promoted")
    return ", ".join([reason.told, *told])


def _ended(run: Run) -> str:
    at = when(run.ended) if run.ended else "?"
    return f"{run.ending} at {at}" + (f" ({run.why})" if run.why else "")


def _hours(span: timedelta) -> str:
    return f"{span / timedelta(hours=1):.1f} hours"
