"""What a release may do next: who may go out, and how the journal moves."""

import hashlib
import json
from dataclasses import asdict, replace

from tasks.errors import Conflict
from tasks.records import Outcome, Release, Served, Verdict

STAGING = "STAGING"
SWITCHING = "SWITCHING"
LIVE = "LIVE"
ROLLED_BACK = "ROLLED_BACK"
UNFINISHED = (STAGING, SWITCHING)


def objections(verdict: Verdict | None, bundle_digest: str, override: str) -> tuple[str, ...]:
    """Why this bundle may not go out; empty when it may.

    Only a PASS for exactly these bytes moves traffic, or a person who says why.
    """
    if override.strip():
        return ()
    if override:
        return ("the override reason is blank; say why",)
    if verdict is None:
        return (f"bundle {bundle_digest[:12]} was never evaluated",)
    if verdict.bundle_digest != bundle_digest:
        return (f"its verdict is about another bundle, {verdict.bundle_digest[:12]}",)
    if verdict.outcome is not Outcome.PASS:
        return (f"its verdict is {verdict.outcome}", *verdict.reasons)
    return ()


def operation(classifier: str, environment: str, wanted: Served, replaces: int) -> str:
    """The name of one attempt at one release; the same again when a crash is continued."""
    told = [classifier, environment, asdict(wanted), replaces]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def claimed(
    before: Release | None,
    classifier: str,
    environment: str,
    wanted: Served,
    holder: str,
    until: str = "",
    going_back: bool = False,
) -> Release:
    """The journal with `wanted` as its candidate, held by `holder`, which writes again by `until`.

    An unfinished release of the same candidate is continued under its own op id: the raised
    generation fences its first holder out. One of another candidate is in the way: Conflict.
    """
    if before is None:
        op_id = operation(classifier, environment, wanted, 0)
        return Release(
            1, STAGING, None, None, wanted, op_id, "", holder, until=until, going_back=going_back
        )
    if before.state in UNFINISHED:
        if before.candidate != wanted:
            other = before.candidate.version if before.candidate else "?"
            flow = "rollback" if before.going_back else "deploy"
            raise Conflict(
                f"{classifier}: the release of version {other} is {before.state}, held by "
                f"{before.holder}; wait for it, or start {flow} with version={other} again to "
                "finish it or put it back"
            )
        return _next(before, holder=holder, until=until, going_back=going_back)
    op_id = operation(classifier, environment, wanted, before.generation)
    return _next(
        before,
        state=STAGING,
        candidate=wanted,
        op_id=op_id,
        holder=holder,
        reason="",
        until=until,
        going_back=going_back,
    )


def taken_over(release: Release, holder: str, until: str = "") -> Release:
    """The same unfinished release in other hands: its first holder is fenced out."""
    return _next(release, holder=holder, until=until)


def switching(release: Release, until: str = "") -> Release:
    return _next(release, state=SWITCHING, until=until)


def renewed(release: Release, until: str) -> Release:
    """The same step of the same release; its holder writes again by `until`."""
    return replace(release, until=until)


def committed(release: Release) -> Release:
    """The candidate is the champion; what it replaces is kept as `previous`."""
    replaced = release.champion if release.champion != release.candidate else release.previous
    return _next(release, state=LIVE, champion=release.candidate, previous=replaced, candidate=None)


def returned(release: Release, previous: Served | None) -> Release:
    """A former champion is champion again; `previous` is what was good before it."""
    return _next(release, state=LIVE, champion=release.candidate, previous=previous, candidate=None)


def rolled_back(release: Release, reason: str) -> Release:
    """The old champion again, with the reason."""
    return _next(release, state=ROLLED_BACK, candidate=None, reason=reason)


def holds(release: Release | None, op_id: str, holder: str) -> bool:
    """Whether this run still owns the unfinished release and may put things back."""
    return (
        release is not None
        and release.state in UNFINISHED
        and (release.op_id, release.holder) == (op_id, holder)
    )


def is_champion(release: Release | None, wanted: Served) -> bool:
    return release is not None and release.state not in UNFINISHED and release.champion == wanted


def _next(release: Release, **changes: object) -> Release:
    return replace(release, generation=release.generation + 1, **changes)  # type: ignore[arg-type]
