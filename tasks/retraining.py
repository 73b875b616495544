"""Steps that ask for a retrain, let exactly one of many begin, and write down how it ended."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from prefect import State
from prefect.states import Completed

from tasks import alerts, decisions, releases, runs
from tasks.adapters import aws, marks
from tasks.adapters import retrains as shelf
from tasks.classifiers import Classifier
from tasks.errors import BadInput, Conflict, DeployFailed, GateFailed
from tasks.feedback_policy import Feedback
from tasks.feedback_window import FeedbackWindow
from tasks.policy import governor, retrains
from tasks.policy.governor import Answer, Case, Ruling
from tasks.reasons import ASKED_BY_MONITOR, MEASURED, End, Ending, Journal, Reason, Request, Run
from tasks.records import Place, Served
from tasks.retrain_policy import Retrain
from tasks.retries import live

log = logging.getLogger(__name__)

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
    machines: int = 1
    labels: Feedback = field(default_factory=Feedback)

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


@live
def request_retrain(place: Place, limits: Retrain, reason: Reason) -> Request:
    """Keep the wish for a retrain in S3, where no server that is down can lose it.

    The same of one episode is one request, whoever asks how often. Only evidence makes drift and
    accuracy a request: BadInput without. Announce it by the event after this, not before.
    """
    if reason.kind in MEASURED and reason.evidence is None:
        raise BadInput(f"a retrain for {reason.kind} needs the evidence of a check that DETECTED")
    now, bucket, s3 = datetime.now(UTC), place.models_bucket, aws.client("s3")
    journal, _ = shelf.read(s3, bucket, place.classifier)
    name = retrains.fingerprint(place.classifier, reason, serving(place), journal, limits, now)
    kept = reason.model_copy(update={"fingerprint": name})
    at = _first_said(place, kept, journal, limits, now)
    return shelf.ask(
        s3, bucket, Request(fingerprint=name, classifier=place.classifier, reason=kept, at=at)
    )


@live(task_run_name="ask whether to retrain {place.classifier}")
def ask(place: Place, chosen: Classifier, reason: Reason, resume: bool = False) -> Asked:
    """Ask the governor for this run; of all that ask at once one hears START.

    Asking again is harmless: who holds the retrain hears START again.
    """
    holder = decisions.holder()
    request = _found(place, chosen.retrain, reason, holder)
    if request is None:
        told = f"nobody asked for a retrain because of {reason.kind}: there is no such request"
        return _said(Asked(place, Ruling(Answer.DROP, told), None, holder))
    for _ in range(_TRIES):
        with suppress(Conflict):  # somebody else wrote first: look again
            ruling = _claim(place, chosen, request, holder, resume)
            machines = chosen.training.instance_count
            return _said(Asked(place, ruling, request, holder, machines, chosen.feedback))
    raise Conflict(f"{place.classifier}: lost the race for the retrain {_TRIES} times; start again")


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


def serving(place: Place) -> str:
    """The champion by the journal of releases, empty before the first."""
    release = releases.read_release.fn(place)
    return release.champion.version if release and release.champion else ""


def settle(place: Place, chosen: Classifier) -> tuple[Journal, str]:
    """The journal with its etag, in which no dead run holds a retrain any more."""
    journal, etag = _read(place)
    if (run := journal.current) is None:
        return journal, etag
    fate, now = runs.fate(run.holder), datetime.now(UTC)
    found = retrains.settled(journal, fate, serving(place), now, bound_hours(chosen))
    if found == journal:
        return journal, etag
    _write(place, found, etag)
    _note_end(place, found.runs[-1])
    return _read(place)


def rule(place: Place, chosen: Classifier, journal: Journal, request: Request) -> Ruling:
    """What the governor says now. What it will never allow is closed, a stop calls a person."""
    now = datetime.now(UTC)
    case = Case(journal, request, chosen.retrain, serving(place), bound_hours(chosen), now)
    ruling = governor.decide(case)
    if ruling.answer is Answer.DROP and close(place, request.fingerprint, ruling.reason):
        _record(place, "retrain-dropped", request, case.serving, ruling.reason)
    if ruling.answer is Answer.STOPPED:
        _call_person(place, request, case.serving, ruling)
    return ruling


def close(place: Place, fingerprint: str, told: str) -> bool:
    end = End(fingerprint=fingerprint, at=datetime.now(UTC), told=told)
    return shelf.close(aws.client("s3"), place.models_bucket, place.classifier, end)


def bound_hours(chosen: Classifier) -> float:
    """Machine hours that the training of one retrain may take at most."""
    return chosen.training.max_runtime_s / 3600 * chosen.training.instance_count


def _found(place: Place, limits: Retrain, reason: Reason, holder: str) -> Request | None:
    if reason.fingerprint:
        s3 = aws.client("s3")
        return shelf.find(s3, place.models_bucket, place.classifier, reason.fingerprint)
    if reason.kind in MEASURED and reason.evidence is None:
        return None
    if reason.kind == "manual":  # each time a person asks it is another wish
        reason = reason.model_copy(update={"note": f"{reason.note} {holder}".strip()})
    return request_retrain.fn(place, limits, reason)


def _first_said(
    place: Place, reason: Reason, journal: Journal, limits: Retrain, now: datetime
) -> datetime:
    """A person who starts again what broke wants the same: its rows are found, and so its job."""
    broken = retrains.broken(journal, limits, now) if reason.kind == "manual" else None
    if broken is None:
        return now
    s3 = aws.client("s3")
    earlier = shelf.find(s3, place.models_bucket, place.classifier, broken.fingerprint)
    return earlier.at if earlier else now


def _claim(place: Place, chosen: Classifier, request: Request, holder: str, resume: bool) -> Ruling:
    """The ruling; START once the journal says that this run has the retrain."""
    journal, etag = settle(place, chosen)
    if (run := journal.current) and retrains.is_mine(run, holder):
        if run.holder != holder:
            _write(place, retrains.changed(journal, holder=holder), etag)
        return Ruling(Answer.START, "this run has the retrain already")
    ruling = rule(place, chosen, journal, request)
    if ruling.answer is Answer.START:
        now, version = datetime.now(UTC), serving(place)
        until = now + timedelta(minutes=training_minutes(chosen))
        mine = retrains.began(journal, request, version, holder, now, until, resume)
        _write(place, mine, etag)
        _record(place, "retrain-started", request, version, ruling.reason)
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
            _note_end(asked.place, journal.runs[-1])
            return why
    raise Conflict(f"{asked.place.classifier}: the end of its retrain could not be written down")


def _note_end(place: Place, run: Run) -> None:
    """What others read of an end; whoever comes after a death here does it again."""
    if run.ending is not Ending.LOST:
        close(place, run.fingerprint, f"{run.ending}: {run.why}")
    version = run.made or run.version
    told = {"kind": run.kind, "hours": f"{run.machine_hours:.2f}", "replaces": run.version}
    op_id = f"{run.fingerprint} {run.began.isoformat()}"
    decisions.record_retrain(place, f"retrain-{run.ending}", op_id, version, run.why, told)


def _record(place: Place, action: str, request: Request, version: str, why: str) -> None:
    told = {"kind": request.reason.kind, "asked_at": request.at.isoformat(timespec="seconds")}
    if evidence := request.reason.evidence:
        told |= {key: str(value) for key, value in evidence.model_dump(mode="json").items()}
    decisions.record_retrain(place, action, request.fingerprint, version, why, told)


def _call_person(place: Place, request: Request, version: str, ruling: Ruling) -> None:
    """Once for what stopped it, however many ask.

    Told first and written down second: killed in between it is told twice rather than never.
    """
    s3, key = aws.client("s3"), f"{shelf.folder(place.classifier)}/governor/told"
    if marks.read(s3, place.models_bucket, key) == ruling.reason:
        return
    title = f"P1: {place.classifier} does not retrain by itself any more"
    if alerts.notify(place, title, ruling.reason, ruling.command):
        marks.write(s3, place.models_bucket, key, ruling.reason)
        _record(place, "retrain-stopped", request, version, ruling.reason)


def _said(asked: Asked) -> Asked:
    """The ruling on a page of its own; the newest run's is on top."""
    ruling, request = asked.ruling, asked.request
    rows = {"answer": f"{ruling.answer}: {ruling.reason}"}
    if request:
        rows["asked for"] = f"{request.reason.kind}, since {retrains.when(request.at)}"
        if request.reason.note:
            rows["note"] = request.reason.note
    if request and (evidence := request.reason.evidence):
        rows["evidence"] = f"`{evidence.verdict_uri}`, about version {evidence.version}"
    if ruling.command:
        rows["next"] = f"`{ruling.command}`"
    name = asked.place.classifier
    alerts.publish_steps(f"retrain-{name}", f"{name}: retrain?", rows)
    log.info("%s: %s: %s", name, ruling.answer, ruling.reason)
    return asked


def _machine_hours(asked: Asked, run: Run, now: datetime) -> float:
    """At most: the time since it began, as if its machines had worked all the while."""
    return (now - run.began) / timedelta(hours=1) * asked.machines


def _read(place: Place) -> tuple[Journal, str]:
    return shelf.read(aws.client("s3"), place.models_bucket, place.classifier)


def _write(place: Place, journal: Journal, etag: str) -> None:
    shelf.write(aws.client("s3"), place.models_bucket, place.classifier, journal, etag)
