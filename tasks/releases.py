"""Steps that decide a release and carry it through the journal."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import decisions
from tasks.adapters import aws, bundles, journal, registry, verdicts
from tasks.errors import BadInput, Conflict, GateFailed, NotFound
from tasks.policy import releases
from tasks.records import ModelVersion, Place, Release, Served, Verdict
from tasks.retries import live

_TRIES = 5
# How long a holder may be silent. While it stages, callers have what they had: no hurry, and a
# stack and an endpoint may each take most of an hour. Once traffic moves it is another thing.
_STAGING_MINUTES = 150
_SWITCHING_MINUTES = 20


def is_champion(release: Release | None, wanted: Served) -> bool:
    return releases.is_champion(release, wanted)


@live
def choose_version(mlflow_uri: str, model: str, version: str | None) -> ModelVersion:
    """The version asked for, or the challenger."""
    client = registry.client(mlflow_uri)
    if version is not None:
        return registry.get_version(client, model, version)
    if (challenger := registry.get_by_alias(client, model, "challenger")) is None:
        raise NotFound(f"model {model} has no challenger; run train or name a version")
    return challenger


@live
def read_verdict(place: Place, wanted: Served) -> Verdict | None:
    return verdicts.read(
        aws.client("s3"), place.models_bucket, place.classifier, wanted.bundle_digest
    )


@task(cache_policy=NO_CACHE)
def check_verdict(verdict: Verdict | None, wanted: Served, override: str) -> str:
    """Why it may go out; GateFailed unless exactly these bytes passed or a person says why."""
    if reasons := releases.objections(verdict, wanted.bundle_digest, override):
        raise GateFailed(f"release of version {wanted.version}", reasons)
    return f"override: {override}" if override else "its verdict is PASS"


@live
def verify_bundle(wanted: Served, labels: tuple[str, ...]) -> str:
    """Prove every byte of the bundle, and that it speaks of the classifier's labels."""
    manifest = bundles.verify(aws.client("s3"), wanted.bundle_uri, wanted.bundle_digest)
    if sorted(manifest.labels) != sorted(labels):
        raise BadInput(
            f"{wanted.bundle_uri}: knows labels {list(manifest.labels)}, the classifier file says "
            f"{list(labels)}; train again"
        )
    return f"{len(manifest.files)} files have the SHA-256 that bundle {manifest.digest[:12]} names"


@live
def read_release(place: Place) -> Release | None:
    return journal.read(aws.client("s3"), place.models_bucket, _key(place))


@live
def claim_release(place: Place, wanted: Served, holder: str, going_back: bool = False) -> Release:
    """Write the intent; Conflict when another release is under way.

    Claiming again continues the same release and fences its first holder out.
    """
    before = journal.read(aws.client("s3"), place.models_bucket, _key(place))
    claim = releases.claimed(
        before,
        place.classifier,
        place.environment,
        wanted,
        holder,
        until=_until(_STAGING_MINUTES),
        going_back=going_back,
    )
    return journal.write(aws.client("s3"), place.models_bucket, _key(place), claim)


@live
def take_over(place: Place, op_id: str, holder: str) -> Release | None:
    """Fence the holder of this unfinished release out; None when it ended by itself meanwhile."""
    for _ in range(_TRIES):
        now = journal.read(aws.client("s3"), place.models_bucket, _key(place))
        if now is None or now.op_id != op_id or now.state not in releases.UNFINISHED:
            return None
        with suppress(Conflict):  # its holder renewed its lease in between
            return _write(place, releases.taken_over(now, holder, _until(_SWITCHING_MINUTES)))
    raise Conflict(f"{_key(place)}: its holder wrote in between {_TRIES} times; start again")


@live
def begin_switch(place: Place, release: Release) -> Release:
    """Conflict when another run took the release over: it must not touch traffic then."""
    return _write(place, releases.switching(_mine(place, release), _until(_SWITCHING_MINUTES)))


@live
def renew_release(place: Place, release: Release, minutes: float) -> Release:
    """This run goes on and writes again within `minutes`; Conflict when another run took over."""
    return _write(place, releases.renewed(_mine(place, release), _until(minutes)))


@live
def commit_release(place: Place, release: Release) -> Release:
    """The one write that makes the candidate the champion."""
    return _write(place, releases.committed(release))


@live
def commit_return(place: Place, release: Release, previous: Served | None) -> Release:
    """The one write that makes a former champion champion again."""
    return _write(place, releases.returned(release, previous))


@live
def reopen_release(place: Place, release: Release, reason: str) -> None:
    """The old champion again, in ledger and journal, if this run still holds the release."""
    if (now := held(place, release)) is None or now.candidate is None:
        return
    decisions.append(
        place, "rolled-back", release.op_id, now.candidate, reason, {"state": now.state}
    )
    _write(place, releases.rolled_back(now, reason))


def held(place: Place, release: Release) -> Release | None:
    """The journal as it stands, None when this run may not put anything back any more."""
    now = journal.read(aws.client("s3"), place.models_bucket, _key(place))
    return now if releases.holds(now, release.op_id, release.holder) else None


def take_if_unchanged(place: Place, release: Release, holder: str) -> Release | None:
    """Fence the holder of `release` out; None when it, or anybody, wrote since that was read."""
    try:
        return _write(place, releases.taken_over(release, holder, _until(_SWITCHING_MINUTES)))
    except Conflict:
        return None


def keep_unfinished(place: Place, release: Release, reason: str) -> None:
    """The release stays open for the reason: this run could not finish or undo it."""
    _write(place, replace(release, reason=reason))


@live
def converge_aliases(mlflow_uri: str, model: str, release: Release) -> None:
    """Point `champion` and `previous` at what the journal says; twice is the same as once."""
    client = registry.client(mlflow_uri)
    for alias, served in (("champion", release.champion), ("previous", release.previous)):
        if served is not None:
            registry.set_alias(client, model, alias, served.version)  # type: ignore[arg-type]
    if release.previous is None:  # after a rollback: what `previous` names is bad, or champion
        registry.delete_alias(client, model, "previous")


def _mine(place: Place, release: Release) -> Release:
    """The journal as it stands; Conflict unless this run holds the release still."""
    if (now := held(place, release)) is None:
        raise Conflict(
            f"{place.classifier}: generation {release.generation} ({release.state}) of "
            f"{release.holder} came too late, another run has the release; start deploy again"
        )
    return now


def _until(minutes: float) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat(timespec="seconds")


def _write(place: Place, release: Release) -> Release:
    return journal.write(aws.client("s3"), place.models_bucket, _key(place), release)


def _key(place: Place) -> str:
    return f"{place.releases}/journal.json"
