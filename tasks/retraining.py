"""Steps that ask for a retrain, let exactly one of many begin, and write down how it ended."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from prefect import State
from prefect.states import Completed

from tasks import decisions, retrain_notes, retrain_requests, runs
from tasks.adapters import aws
from tasks.adapters import retrains as shelf
from tasks.classifiers import Classifier
from tasks.errors import Conflict, DeployFailed, GateFailed
from tasks.feedback_policy import Feedback
from tasks.feedback_window import FeedbackWindow
from tasks.policy import governor, retrains
from tasks.policy.governor import Answer, Case, Ruling
from tasks.reasons import ASKED_BY_MONITOR, Ending, Journal, Reason, Request, Run
from tasks.records import Place, Served
from tasks.retries import live

_TRIES = 20
_TRAINING_MINUTES = 120  # what a job waits for a machine, and the steps around it
_DEPLOY_MINUTES = 180


@dataclass(frozen=True, slots=True)
class Asked:
    """What the governor said to a run. Only START makes it the holder of the retrain."""

    place: Place
    ruling: Ruling
    request: Request | None
    holder: str
    machines: int
    labels: Feedback

    @property
    def granted(self) -> bool:
        return self.ruling.answer is Answer.START

    @property
    def reason(self) -> Reason:
        return self.request.reason if self.request else Reason()

    @property
    def feedback(self) -> FeedbackWindow:
        """The labels to learn from beside the source: those that were there when it was asked.

        Else a model that learned what callers say would give way to one that did not.
        """
        assert self.request is not None  # it was granted
        needed = self.reason.kind in ASKED_BY_MONITOR
        return self.labels.window(self.request.at).model_copy(update={"needed": needed})


@live(task_run_name="ask whether to retrain {place.classifier}")
def ask(place: Place, chosen: Classifier, reason: Reason, resume: bool = False) -> Asked:
    """Ask the governor for this run; of all that ask at once one hears START.

    Asking again is harmless: who holds the retrain hears START again.
    """
    holder = decisions.holder()
    request = retrain_requests.found(place, chosen.retrain, reason, holder)
    ruling = _ruling(place, chosen, request, reason, holder, resume)
    retrain_notes.ruled(place, request, ruling)
    machines = chosen.training.instance_count
    return Asked(place, ruling, request, holder, machines, chosen.feedback)


@live(task_run_name="keep the retrain")
def go_on(asked: Asked, minutes: float) -> None:
    """Trained and judged, the version goes out within `minutes`; Conflict when overtaken."""
    journal, etag = _read(asked.place)
    now, run = datetime.now(UTC), journal.current
    if run is None or not retrains.is_mine(run, asked.holder):
        name = asked.place.classifier
        raise Conflict(
            f"{name}: this run was silent for too long, its retrain was given up; see "
            f"prefect deployment run 'pipeline/{name}'"
        )
    until, hours = now + timedelta(minutes=minutes), _machine_hours(asked, run, now)
    _write(asked.place, retrains.changed(journal, until=until, machine_hours=hours), etag)


@live(task_run_name="end the retrain")
def promoted(asked: Asked, served: Served) -> str:
    """The retrain's version serves; what to say of it."""
    journal, _ = _read(asked.place)
    before = journal.current.version if journal.current else ""
    same = served.version == before
    why = f"version {served.version} serves" + (" as before" if same else f" after {before}")
    return _end(asked, Ending.UNCHANGED if same else Ending.PROMOTED, why, served.version)


def on_failure(asked: Asked) -> Callable[..., None]:
    """An exit callback that writes down how a retrain failed."""

    def note(kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if kind is not None:
            no = issubclass(kind, (GateFailed, DeployFailed))
            _end(asked, Ending.REFUSED if no else Ending.FAILED, f"{kind.__name__}: {error}"[:500])

    return note


def not_needed(asked: Asked) -> State[None]:
    """How a run ends that was not let go on: nothing failed."""
    return Completed(name="NotNeeded", message=f"not needed: {asked.ruling.reason}")


def training_minutes(chosen: Classifier) -> float:
    """How long a retrain may be silent until its version is judged."""
    return chosen.training.max_runtime_s / 60 + _TRAINING_MINUTES


def release_minutes(chosen: Classifier, approval_minutes: float) -> float:
    """How long a retrain may be silent while its version goes out."""
    rollout = chosen.rollout
    watched = sum(step.minutes for step in rollout.watched) + rollout.bake_minutes
    return 2 * watched + approval_minutes + _DEPLOY_MINUTES


def settle(place: Place, chosen: Classifier) -> tuple[Journal, str]:
    """The journal with its etag, in which no dead run holds a retrain any more."""
    journal, etag = _read(place)
    if (run := journal.current) is None:
        return journal, etag
    fate, now, version = runs.fate(run.holder), datetime.now(UTC), retrain_requests.serving(place)
    found = retrains.settled(journal, fate, version, now, bound_hours(chosen))
    if found == journal:
        return journal, etag
    _write(place, found, etag)
    retrain_notes.ended(place, found.runs[-1])
    return _read(place)


def rule(place: Place, chosen: Classifier, journal: Journal, request: Request) -> Ruling:
    """What the governor says now. What it will never allow is closed, a stop calls a person."""
    now, version = datetime.now(UTC), retrain_requests.serving(place)
    ruling = governor.decide(
        Case(journal, request, chosen.retrain, version, bound_hours(chosen), now)
    )
    if ruling.answer is Answer.DROP:
        retrain_notes.dropped(place, request, version, ruling.reason)
    if ruling.answer is Answer.STOPPED:
        retrain_notes.call_person(place, request, version, ruling)
    return ruling


def bound_hours(chosen: Classifier) -> float:
    """Machine hours that the training of one retrain may take at most."""
    return chosen.training.max_runtime_s / 3600 * chosen.training.instance_count


def _ruling(
    place: Place,
    chosen: Classifier,
    request: Request | None,
    reason: Reason,
    holder: str,
    resume: bool,
) -> Ruling:
    if request is None:
        told = f"nobody asked for a retrain because of {reason.kind}: there is no such request"
        return Ruling(Answer.DROP, told)
    for _ in range(_TRIES):
        with suppress(Conflict):  # somebody else wrote first: look again
            return _claim(place, chosen, request, holder, resume)
    raise Conflict(f"{place.classifier}: lost the race for the retrain {_TRIES} times; start again")


def _claim(place: Place, chosen: Classifier, request: Request, holder: str, resume: bool) -> Ruling:
    """The ruling; START once the journal says that this run has the retrain."""
    journal, etag = settle(place, chosen)
    if (run := journal.current) and retrains.is_mine(run, holder):
        if run.holder != holder:
            _write(place, retrains.changed(journal, holder=holder), etag)
        return Ruling(Answer.START, "this run has the retrain already")
    ruling = rule(place, chosen, journal, request)
    if ruling.answer is Answer.START:
        now, version = datetime.now(UTC), retrain_requests.serving(place)
        until = now + timedelta(minutes=training_minutes(chosen))
        mine = retrains.began(journal, request, version, holder, now, until, resume)
        _write(place, mine, etag)
        retrain_notes.decided(place, "retrain-started", request, version, ruling.reason)
    return ruling


def _end(asked: Asked, ending: Ending, why: str, made: str = "") -> str:
    """Write the end down, unless another run has the retrain by now."""
    for _ in range(_TRIES):
        journal, etag = _read(asked.place)
        run, now = journal.current, datetime.now(UTC)
        if run is None or not retrains.is_mine(run, asked.holder):
            return f"the retrain was given up before this: {why}"
        hours = run.machine_hours or _machine_hours(asked, run, now)
        done = {"ending": ending, "ended": now, "why": why, "made": made, "machine_hours": hours}
        journal = retrains.changed(journal, **done)
        with suppress(Conflict):
            _write(asked.place, journal, etag)
            retrain_notes.ended(asked.place, journal.runs[-1])
            return why
    raise Conflict(f"{asked.place.classifier}: the end of its retrain could not be written down")


def _machine_hours(asked: Asked, run: Run, now: datetime) -> float:
    """At most: the time since it began, as if its machines had worked all the while."""
    return (now - run.began) / timedelta(hours=1) * asked.machines


def _read(place: Place) -> tuple[Journal, str]:
    return shelf.read(aws.client("s3"), place.models_bucket, place.classifier)


def _write(place: Place, journal: Journal, etag: str) -> None:
    shelf.write(aws.client("s3"), place.models_bucket, place.classifier, journal, etag)
