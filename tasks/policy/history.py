"""What was champion when, and what is good to go back to: told by the ledger's entries.

`released` made a new champion, `returned` a former one; its evidence `from` says what was left.
Every other action changed no champion.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tasks.errors import BadInput, GateFailed, NotFound
from tasks.policy.releases import LIVE, UNFINISHED
from tasks.records import Entry, Release, Served

RELEASED = "released"
RETURNED = "returned"
RETURNING = "returning"
_BEGUN = ("started", RETURNING)
_CELL = 40  # characters: Prefect never breaks the lines of a table's cell
# What a reason can do without where it has no room: the error's kind, the minute, half of an id.
_SPARE = (
    (re.compile(r"^[A-Z]\w+: "), ""),
    (re.compile(r" of the callers, minute [\d.]+ of the rollout"), ""),
    (re.compile(r"flow run ([0-9a-f]{8})[0-9a-f-]{28} attempt \d+"), r"run \1"),
)


@dataclass(frozen=True, slots=True)
class Past:
    """The ledger in order, the journal beside it, and what breaks the ledger's chain."""

    entries: tuple[Entry, ...]
    release: Release | None = None
    broken: str | None = None

    @property
    def champion(self) -> Served | None:
        return self.release.champion if self.release else None


def champions(past: Past) -> list[Entry]:
    """The entries that made a champion, oldest first; the last is today's.

    The journal's champion counts although its run died before the ledger heard of it.
    """
    made = [entry for entry in past.entries if entry.action in (RELEASED, RETURNED)]
    now = past.champion
    if past.release is None or now is None or (made and made[-1].version == now.version):
        return made
    begun = (entry.at for entry in reversed(past.entries) if entry.version == now.version)
    back = past.release.going_back and past.release.state not in UNFINISHED
    left = {"from": made[-1].version} if made else {}
    evidence = {"bundle": now.bundle_digest, "uri": now.bundle_uri, "target": now.target, **left}
    action = RETURNED if back else RELEASED
    at = next(begun, made[-1].at if made else "")
    return [*made, Entry(at, "", action, "", now.version, "", past.release.op_id, evidence)]


def champion_at(past: Past, moment: datetime) -> Entry | None:
    """What was champion at the moment (with its zone), None before the first release."""
    before = [one for one in champions(past) if one.at and _moment(one.at) <= moment]
    return before[-1] if before else None


def good(past: Past) -> list[Entry]:
    """The champions that served well, in the order to go back through; the last is today's.

    What was rolled back from is not good until it is released again. Going back to an older one
    leaves what came after it: going back again goes further back, never forward.
    """
    line: list[Entry] = []
    for entry in champions(past):
        versions = [one.version for one in line]
        if entry.action == RETURNED and entry.version in versions:
            line = line[: versions.index(entry.version)]
        left = entry.evidence.get("from") if entry.action == RETURNED else None
        line = [one for one in line if one.version not in (entry.version, left)]
        line.append(entry)
    return line


def previous_good(past: Past) -> Entry | None:
    """What served well before the champion of today, None when nothing did."""
    line = good(past)
    return line[-2] if len(line) > 1 else None


def next_good(past: Past, version: str) -> Entry | None:
    """Another one to go back to when this version cannot be had."""
    now = past.champion.version if past.champion else None
    left = [one for one in good(past) if one.version not in (version, now)]
    return left[-1] if left else None


def choose(
    past: Past, classifier: str, version: str | None = None, as_of: datetime | None = None
) -> Entry:
    """The champion to go back to.

    Asked for nothing in particular it undoes the last change: an unfinished release, else the
    champion of today. What was undone already is not undone again, so that a person and a machine
    may both ask. GateFailed, NotFound and BadInput say what to do instead.
    """
    if version is not None and as_of is not None:
        raise BadInput("either a version or a moment to go back to, not both")
    made = champions(past)
    if not made:
        raise NotFound(f"{classifier} never had a champion: there is nothing to go back to")
    if version is not None:
        return _named(made, classifier, version)
    if as_of is not None:
        if (then := champion_at(past, as_of)) is None:
            first = f"the first was version {made[0].version} at {made[0].at}"
            raise NotFound(f"{classifier} had no champion at {as_of.isoformat()}; {first}")
        return then
    under_way = past.release if past.release and past.release.state in UNFINISHED else None
    if under_way and under_way.going_back and under_way.candidate:
        return _named(made, classifier, under_way.candidate.version)
    if under_way or made[-1].action == RETURNED:
        return made[-1]
    if (before := previous_good(past)) is None:
        raise NotFound(
            f"{classifier}: nothing served well before version {made[-1].version}; name one of "
            f"{_versions(made)}, or release another with deploy"
        )
    return before


def served(entry: Entry, past: Past, target: str | None) -> Served:
    """What to serve: where the champion of today serves, unless another target is asked for.

    The address of the bundle is empty where neither ledger nor journal know it.
    """
    digest = entry.evidence["bundle"]
    known = (past.release.champion, past.release.previous) if past.release else ()
    found = [one.bundle_uri for one in known if one and one.bundle_digest == digest]
    uri = entry.evidence.get("uri") or (found[0] if found else "")
    here = past.champion.target if past.champion else entry.evidence["target"]
    return Served(entry.version, uri, digest, target or here)


def in_the_way(past: Past, wanted: Served) -> Release | None:
    """The unfinished release of something else, which must be put back first."""
    release = past.release
    if release is None or release.state not in UNFINISHED or release.candidate == wanted:
        return None
    return release


def untried(past: Past, wanted: Served) -> bool:
    """Whether a run began to bring this up and it has not served since.

    Its run may have died before it was tried out, or have found it sick and left it running.
    """
    release = past.release
    if release is not None and release.state in UNFINISHED and release.candidate == wanted:
        return True
    of_it = [entry.action for entry in past.entries if entry.version == wanted.version]
    said = [action for action in of_it if action in (*_BEGUN, RELEASED, RETURNED)]
    return bool(said) and said[-1] in _BEGUN


def left_behind(past: Past, wanted: Served) -> str:
    """The version that the rollback takes away: today's champion, else what was to become it."""
    if (now := past.champion) and now.version != wanted.version:
        return now.version
    if (other := in_the_way(past, wanted)) and other.candidate:
        return other.candidate.version
    made = [entry for entry in past.entries if entry.action in (RELEASED, RETURNED)]
    return made[-1].version if made else wanted.version


def previous_after(past: Past, wanted: Served) -> Served | None:
    """What was good before this version, once it is champion again."""
    back = Entry("", "", RETURNED, "", wanted.version, "", "", {"from": left_behind(past, wanted)})
    line = good(Past((*champions(past), back)))
    if len(line) < 2:
        return None
    return served(line[-2], past, line[-2].evidence["target"])


def ended(release: Release, undone: Release | None) -> Release | None:
    """The operation that ends with `returned` in the ledger; None when nothing was to be done."""
    return release if release.going_back and release.state == LIVE else undone


def rows(entries: Sequence[Entry], last: int = 30) -> list[dict[str, str]]:
    """The release history as a table of short cells, the newest on top."""
    shown = [entry for entry in entries if entry.action not in _BEGUN][-last:]
    return [
        {
            "when (UTC)": entry.at[:16].replace("T", " "),
            "version": entry.version,
            "was": entry.action,
            "instead of": entry.evidence.get("from") or entry.evidence.get("replaced") or "",
            "why": _short(entry.reason),
            "bundle": entry.evidence.get("bundle", "")[:12],
            "run": entry.actor.removeprefix("flow run ")[:8],
        }
        for entry in reversed(shown)
    ]


def tags(entries: Sequence[Entry], last: int = 5) -> dict[str, dict[str, str]]:
    """What the registry shall say about the versions of the last decisions."""
    found: dict[str, dict[str, str]] = {}
    for entry in [one for one in entries if one.action not in _BEGUN][-last:]:
        mine = found.setdefault(entry.version, {})
        if entry.action in (RELEASED, RETURNED):
            mine |= {"released_at": entry.at, "release_reason": entry.reason}
        if entry.action == "rolled-back":
            mine |= {"rolled_back_at": entry.at, "rollback_reason": entry.reason}
        left = entry.evidence.get("from")
        if entry.action == RETURNED and left and left != entry.version:
            at_its_end = {"rolled_back_at": entry.at, "rollback_reason": entry.reason}
            found.setdefault(left, {}).update(at_its_end)
    return found


def _named(made: list[Entry], classifier: str, version: str) -> Entry:
    for entry in reversed(made):
        if entry.version == version:
            return entry
    raise GateFailed(
        f"rollback to version {version}",
        (
            f"it never was champion of {classifier}, only {_versions(made)} were",
            f"to release it all the same: prefect deployment run 'deploy/{classifier}' "
            f'-p version=\'"{version}"\' -p plan=\'{{"override_reason": "..."}}\'',
        ),
    )


def _versions(made: list[Entry]) -> str:
    return ", ".join(dict.fromkeys(entry.version for entry in made))


def _moment(at: str) -> datetime:
    return datetime.fromisoformat(at)


def _short(text: str) -> str:
    line = " ".join(text.split())
    for spare, kept in _SPARE:
        line = spare.sub(kept, line)
    return line if len(line) <= _CELL else f"{line[: _CELL - 3]}..."
