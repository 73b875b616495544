"""Steps that look after releases whose run is gone, and after versions that turned bad."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from prefect import State, task
from prefect.cache_policies import NO_CACHE

from tasks import alerts, classifiers, decisions, releases, rollout, runs, targets
from tasks.adapters import alarms, aws, ledger, marks
from tasks.errors import OldSideDown, ProjectError
from tasks.policy import recovery
from tasks.policy.recovery import Fate, Finding, Need
from tasks.policy.releases import LIVE, UNFINISHED
from tasks.records import Alarm, Entry, Place, Release
from tasks.settings import Settings

log = logging.getLogger(__name__)

_TOLD = "told"
_NEWEST = 8  # ledger records: a look each minute has to be cheap


@task(cache_policy=NO_CACHE, task_run_name="attend to {classifier}")
def attend(settings: Settings, classifier: str) -> str:
    """Give the release what it needs, which mostly is nothing; what was found."""
    chosen = classifiers.load(classifier, settings.classifiers_dir)
    place = targets.place_of(settings, chosen, None)
    if (release := releases.read_release(place)) is None:
        return "never released"
    newest = () if release.state in UNFINISHED else _newest(place, _NEWEST)
    found = _look(place, release, newest)
    log.info("%s: %s", classifier, found.reason)
    match found.need:
        case Need.TAKE_BACK:
            _take_back(place, release, found.reason)
        case Need.CONVERGE:
            _finish(place, release, newest)
        case Need.ROLL_BACK:
            _roll_back(place, release, found)
        case Need.TELL:
            again = f"prefect deployment run 'rollback/{classifier}'"
            _tell_once(place, release, found.reason, again)
    if release.state not in UNFINISHED and release.champion is not None:
        _align(place, release, chosen.registered_model, settings.mlflow_tracking_uri)
    if found.need is Need.NOTHING and release.state == LIVE:
        _tidy(place, release)
    return f"{found.need}: {found.reason}"


def names(folder: Path) -> tuple[str, ...]:
    return classifiers.names(folder)


def conclude(*looks: Mapping[str, State[str]]) -> dict[str, str]:
    """What every classifier came to; ProjectError names those that could not be attended to."""
    ended = [(name, state) for look in looks for name, state in look.items()]
    if failed := [(name, state) for name, state in ended if not state.is_completed()]:
        told = "; ".join(dict.fromkeys(f"{name}: {state.message}" for name, state in failed))
        raise ProjectError(f"{told}; the next run tries again")
    found: dict[str, list[str]] = {}
    for name, state in ended:
        found.setdefault(name, []).append(str(state.result()))
    return {name: "; ".join(told) for name, told in found.items()}


def _look(place: Place, release: Release, newest: tuple[Entry, ...]) -> Finding:
    """Ask only what the decision hangs on."""
    fate, now = Fate.ALIVE, datetime.now(UTC)
    red: tuple[Alarm, ...] = ()
    answered = None
    if not recovery.at_rest(release, newest):
        fate = runs.fate(release.holder)
    elif release.champion and recovery.fresh(release, now):
        there = replace(place, target=release.champion.target)
        answered = rollout.who_answers(there)
    if recovery.watched(release, newest):
        mine = f"{place.prefix}-"
        found = alarms.red(aws.client("cloudwatch"), mine)
        red = tuple(one for one in found if recovery.blames(one.name.removeprefix(mine)))
    return recovery.needed(release, fate, now, newest, red, answered)


def _take_back(place: Place, release: Release, reason: str) -> None:
    """The old split and the old champion again; whoever held the release is fenced out first."""
    mine = releases.take_if_unchanged(place, release, decisions.holder())
    if mine is None or mine.candidate is None:
        log.info("%s: its holder wrote just now: left alone", place.classifier)
        return
    wanted = mine.candidate
    again = f"prefect deployment run 'deploy/{place.classifier}' -p version='\"{wanted.version}\"'"
    try:
        rollout.restore_traffic(replace(place, target=wanted.target), mine, wanted, reason)
    except OldSideDown as error:
        releases.keep_unfinished(place, mine, str(error))
        _tell_once(place, mine, str(error), again)
        return
    releases.reopen_release(place, mine, reason)
    serves = f"version {mine.champion.version} serves" if mine.champion else "nothing serves"
    title = f"{place.classifier} version {wanted.version} was taken back, {serves}"
    alerts.notify(place, title, reason, again, release.op_id)


def _finish(place: Place, release: Release, newest: tuple[Entry, ...]) -> None:
    """What deploy does after its commit; the ledger comes last, as it says that all is done."""
    served = release.champion
    if served is None:
        return
    there = replace(place, target=served.target)
    rollout.retire_old(there, served, release.op_id)
    begun = next((one for one in newest if one.op_id == release.op_id), None)
    if decisions.record_end(there, release, served, begun):
        title = f"{place.classifier} version {served.version} serves on {served.target}"
        alerts.notify(place, title, rollout.address(there), about=release.op_id)


def _roll_back(place: Place, release: Release, found: Finding) -> None:
    """Start the rollback once for this release; tell a person when that did not help."""
    name = f"rollback/{place.classifier}"
    version = {} if found.version is None else {"version": found.version}
    run = runs.start(
        name, {**version, "reason": found.reason}, key=f"{release.op_id}-{found.version}"
    )
    if run.state is None or not run.state.is_final():
        return
    if releases.read_release(place) == release:
        told = f"{name}, run {run.name}, ended {run.state.name} and changed nothing"
        _tell_once(place, release, f"{found.reason}; {told}", f"prefect deployment run '{name}'")


def _align(place: Place, release: Release, model: str, mlflow_uri: str) -> None:
    """The registry's aliases say what the journal says; looked up once for each change of it.

    A registry that was down then is told by the next run: it must not keep this one waiting.
    """
    s3, key = aws.client("s3"), f"{place.releases}/aliases"
    wanted = json.dumps([one and one.version for one in (release.champion, release.previous)])
    if marks.read(s3, place.models_bucket, key) != wanted:
        releases.converge_aliases.with_options(retries=0)(mlflow_uri, model, release)
        marks.write(s3, place.models_bucket, key, wanted)


def _tidy(place: Place, release: Release) -> None:
    """Only what is needed keeps running: its run may have died before that, once for a release."""
    s3, key, served = aws.client("s3"), f"{place.releases}/retired", release.champion
    if served is None or marks.read(s3, place.models_bucket, key) == release.op_id:
        return
    if not recovery.at_work(release, runs.fate(release.holder), datetime.now(UTC)):
        rollout.retire_old(replace(place, target=served.target), served, release.op_id)
        marks.write(s3, place.models_bucket, key, release.op_id)


def _tell_once(place: Place, release: Release, reason: str, command: str) -> None:
    """Tell a person, once for this release and reason; the ledger remembers what was told.

    Told first and written down second: killed in between it is told twice rather than never.
    """
    key = hashlib.sha256(f"{release.op_id} {reason}".encode()).hexdigest()
    told = ((one.op_id, one.action) for one in _newest(place, 50))
    about = release.candidate or release.champion
    if about is None or (key, _TOLD) in told:
        return
    title = f"P1: {place.classifier} version {about.version} needs a person"
    if alerts.notify(place, title, reason, command):
        decisions.append(place, _TOLD, key, about, reason, {"release": release.op_id})


def _newest(place: Place, count: int) -> tuple[Entry, ...]:
    folder = f"{place.releases}/ledger"
    records = ledger.read(aws.client("s3"), place.models_bucket, folder, last=count)
    return tuple(record.entry for record in records)
