"""What a release needs when nobody may be looking after it any more."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tasks.policy import releases
from tasks.policy.history import RELEASED, RETURNED
from tasks.records import Alarm, Entry, Release

# Not the guard of one endpoint update, red at a single 5xx, and not silence: no version is to
# blame when nobody asks. TARGET-error-rate and so on, after the place's own part of the name.
_BLAMING = re.compile(r"[a-z0-9]+-(error-rate|latency|no-healthy-host)")
_AWAKE = timedelta(hours=1)


class Fate(StrEnum):
    """What became of the flow run that holds a release, as far as Prefect knows."""

    OVER = "over"
    ALIVE = "alive"
    UNKNOWN = "unknown"


class Need(StrEnum):
    """TELL: only a person can decide."""

    NOTHING = "nothing"
    TAKE_BACK = "take back"
    CONVERGE = "converge"
    ROLL_BACK = "roll back"
    TELL = "tell"


@dataclass(frozen=True, slots=True)
class Finding:
    """What to do and why; `version` is what to go back to, None leaves the choice to rollback."""

    need: Need
    reason: str
    version: str | None = None


def needed(
    release: Release | None,
    fate: Fate,
    now: datetime,
    history: Sequence[Entry],
    alarms: Sequence[Alarm],
    answered: str | None = None,
) -> Finding:
    """What the release needs now.

    Args:
        release: The journal as it stands.
        fate: Of the run in `release.holder`.
        now: With a time zone.
        history: The newest ledger entries, at least those of this release.
        alarms: The red ones that blame what serves.
        answered: The version that answered a caller just now, where that was asked.
    """
    if release is None:
        return Finding(Need.NOTHING, "never released")
    if release.state in releases.UNFINISHED:
        return _unfinished(release, fate, now)
    if not at_rest(release, history):
        return _committed(release, fate, now)
    if answered is not None and release.champion and answered != release.champion.version:
        told = f"callers reach version {answered}, the champion is {release.champion.version}"
        return Finding(Need.ROLL_BACK, told, release.champion.version)
    if commits := _commits(release, history):
        return _watched(release, datetime.fromisoformat(commits[-1].at), alarms)
    return Finding(Need.NOTHING, f"at rest: {release.state}")


def at_rest(release: Release, history: Sequence[Entry]) -> bool:
    """Whether journal and ledger agree that the release is over."""
    return release.state == releases.ROLLED_BACK or watched(release, history)


def fresh(release: Release, now: datetime) -> bool:
    """Whether a run that lost this release may still wake up and move traffic.

    Nothing fences traffic itself: between its look into the journal and its call a run can stand
    still for as long as it likes.
    """
    return bool(release.until) and now < datetime.fromisoformat(release.until) + _AWAKE


def at_work(release: Release, fate: Fate, now: datetime) -> bool:
    """Whether the run that holds the release, or held it last, may still be doing something."""
    return fate is Fate.ALIVE and not _left(release, fate, now)


def watched(release: Release, history: Sequence[Entry]) -> bool:
    """Whether the release is over and done, so that only an alarm can undo it."""
    return bool(_commits(release, history))


def blames(alarm: str) -> bool:
    """Whether the alarm, named without its place, says that what serves is bad."""
    return _BLAMING.fullmatch(alarm) is not None


def _commits(release: Release, history: Sequence[Entry]) -> list[Entry]:
    if release.state != releases.LIVE:
        return []
    made = (RELEASED, RETURNED)
    return [one for one in history if one.op_id == release.op_id and one.action in made]


def _committed(release: Release, fate: Fate, now: datetime) -> Finding:
    """A champion by the journal, of which the ledger does not know yet."""
    left = _left(release, fate, now)
    if not left and fate is Fate.UNKNOWN and not release.until:
        left = f"LIVE, and Prefect does not know {release.holder}"  # all that is left may be redone
    if not left:
        return Finding(Need.NOTHING, f"LIVE, {release.holder} is finishing it")
    return Finding(Need.CONVERGE, left)


def _unfinished(release: Release, fate: Fate, now: datetime) -> Finding:
    if left := _left(release, fate, now):
        if release.going_back and release.candidate is not None:
            # Taking it back would serve the bad version again: it is finished instead.
            return Finding(Need.ROLL_BACK, left, release.candidate.version)
        return Finding(Need.TAKE_BACK, left)
    if fate is Fate.UNKNOWN and not release.until:
        return Finding(
            Need.TELL, f"{release.state}, held by {release.holder}, which Prefect does not know"
        )
    return Finding(Need.NOTHING, f"{release.state}, held by {release.holder} until {release.until}")


def _left(release: Release, fate: Fate, now: datetime) -> str:
    """Why nobody looks after the release any more; empty when somebody may."""
    if fate is Fate.OVER:
        return f"{release.holder} ended while the release was {release.state}"
    if release.until and now > datetime.fromisoformat(release.until):
        return f"{release.holder} has not written since its lease ended at {release.until}"
    return ""


def _watched(release: Release, since: datetime, alarms: Sequence[Alarm]) -> Finding:
    """After the release: an alarm that it did not find red takes it back, once."""
    red = sorted(alarm.name for alarm in alarms if alarm.since > since)
    if not red:
        return Finding(Need.NOTHING, "at rest: LIVE")
    told = f"red since version {_champion(release)} was released: {', '.join(red)}"
    if release.going_back:
        return Finding(Need.TELL, f"{told}; it is what a rollback brought back")
    if release.previous is None:
        return Finding(Need.TELL, f"{told}; there is no version before it")
    return Finding(Need.ROLL_BACK, told)


def _champion(release: Release) -> str:
    return release.champion.version if release.champion else "?"
