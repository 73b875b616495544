"""How the journal of retrains moves, and which requests are one and the same.

An episode is what one retrain answers. It ends with a promoted version, or when the cooldown after
a retrain that was not promoted is over. Whatever is measured of one version within one episode is
one request, and no second retrain.
"""

import hashlib
import json
from datetime import datetime, timedelta

from tasks.policy.recovery import Fate
from tasks.reasons import ASKED_BY_MONITOR, Ending, Journal, Reason, Request, Run
from tasks.retrain_policy import Retrain

_KEPT = 100  # runs in the journal: weeks of them, whatever max_per_week says
ATTEMPTS = 3  # of one request whose runs are killed


def fingerprint(
    classifier: str, reason: Reason, serving: str, journal: Journal, limits: Retrain, now: datetime
) -> str:
    """The name of a request: the same for whatever is one episode of one version and kind.

    What a person asks for is always another thing (`note` names the run), and the weekly run is
    one a week.
    """
    version = reason.evidence.version if reason.evidence else serving
    told = [classifier, reason.kind, version]
    match reason.kind:
        case "manual":
            told.append(reason.note)
        case "weekly":
            # A week begins on the Sunday of its run: one that starts a day late is that run still.
            told.append("{}-{}".format(*(now + timedelta(days=1)).isocalendar()))
        case "new-data":
            told += [episode(journal, limits, now), reason.note]
        case _:
            told.append(episode(journal, limits, now))
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


def episode(journal: Journal, limits: Retrain, now: datetime) -> str:
    """Names the episode by the retrain that ended the one before; empty for the first."""
    cooldown = timedelta(hours=limits.cooldown_hours)
    over = [
        run.fingerprint
        for run in journal.ended
        if run.ending is Ending.PROMOTED
        or (run.kind in ASKED_BY_MONITOR and run.ended and now >= run.ended + cooldown)
    ]
    return over[-1] if over else ""


def refused_in_a_row(journal: Journal) -> tuple[Run, ...]:
    """The monitor's retrains since a version was promoted or a person said to go on."""
    row: list[Run] = []
    for run in journal.runs:
        if run.ending is Ending.PROMOTED or run.resumed:
            row = []
        elif run.over and run.kind in ASKED_BY_MONITOR:
            row.append(run)
    return tuple(row)


def broken(journal: Journal, limits: Retrain, now: datetime) -> Run | None:
    """The newest retrain, if it did not get to a verdict and its cooldown is not over."""
    run = journal.runs[-1] if journal.runs else None
    if run is None or run.ending not in (None, Ending.FAILED, Ending.LOST):
        return None
    over = now - (run.ended or now) > timedelta(hours=limits.cooldown_hours)
    return None if over else run


def began(
    journal: Journal,
    request: Request,
    serving: str,
    holder: str,
    now: datetime,
    until: datetime,
    resumed: bool = False,
) -> Journal:
    """The journal with this retrain under way; whoever writes it first has it."""
    run = Run(
        fingerprint=request.fingerprint,
        kind=request.reason.kind,
        version=serving,
        holder=holder,
        began=now,
        until=until,
        resumed=resumed,
    )
    return _next(journal, (*journal.runs, run)[-_KEPT:])


def is_mine(run: Run | None, holder: str) -> bool:
    """Whether this run holds the retrain, in whichever attempt of it."""
    return run is not None and _run_of(run.holder) == _run_of(holder)


def changed(journal: Journal, **changes: object) -> Journal:
    """The same retrain under way, with something new about it."""
    current = journal.runs[-1].model_copy(update=changes)
    return _next(journal, (*journal.runs[:-1], current))


def settled(
    journal: Journal, fate: Fate, serving: str, now: datetime, bound_hours: float
) -> Journal:
    """The journal in which a retrain whose run is dead is no longer under way.

    Its version serves, if it got so far. Else the request is tried again, a few times.
    `bound_hours`: machine hours that one retrain takes at most.
    """
    run = journal.current
    if run is None or (fate is not Fate.OVER and now <= run.until):
        return journal
    why = f"{run.holder} ended without a word"
    if fate is not Fate.OVER:
        why = f"{run.holder} has not written since its lease ended at {when(run.until)}"
    if serving not in ("", run.version):
        return changed(journal, ended=now, ending=Ending.PROMOTED, made=serving, why=why)
    killed = [one for one in journal.runs if one.fingerprint == run.fingerprint]
    again = run.kind in ASKED_BY_MONITOR and len(killed) < ATTEMPTS
    ending = Ending.LOST if again else Ending.FAILED
    hours = max(run.machine_hours, min((now - run.began) / timedelta(hours=1), bound_hours))
    return changed(journal, ended=now, ending=ending, why=why, machine_hours=hours)


def attempt(journal: Journal, request: Request) -> int:
    """Which try at this request the next one is, counted from 1."""
    return 1 + sum(run.fingerprint == request.fingerprint for run in journal.runs)


def when(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _next(journal: Journal, runs: tuple[Run, ...]) -> Journal:
    return Journal(generation=journal.generation + 1, runs=runs)


def _run_of(holder: str) -> str:
    return holder.partition(" attempt ")[0]
