"""Steps that go back to a version that was champion before; the ledger alone is enough for them."""

import logging
from dataclasses import replace
from datetime import UTC, datetime

from botocore.exceptions import ClientError

from tasks import alerts, releases
from tasks.adapters import aws, bundles, journal, ledger, registry
from tasks.errors import BadInput, NotFound, OldSideDown
from tasks.policy import history
from tasks.policy.history import Past
from tasks.records import Place, Release, Served
from tasks.retries import live
from tasks.targets import TARGETS
from training.formats import BundleManifest

log = logging.getLogger(__name__)


@live
def read_past(place: Place) -> Past:
    """The whole ledger and the journal. A broken chain is told; it hinders no emergency."""
    s3 = aws.client("s3")
    chain = ledger.read(s3, place.models_bucket, f"{place.releases}/ledger")
    if broken := ledger.verify(chain):
        log.error("the ledger of %s was tampered with: %s", place.classifier, broken)
    release = journal.read(s3, place.models_bucket, f"{place.releases}/journal.json")
    return Past(tuple(record.entry for record in chain), release, broken)


@live
def find_version(
    place: Place,
    past: Past,
    version: str | None,
    as_of: datetime | None,
    target: str | None,
    mlflow_uri: str,
    model: str,
) -> Served:
    """What to go back to, from ledger and journal; MLflow is asked by old records only."""
    if as_of is not None and as_of.tzinfo is None:
        as_of = as_of.replace(tzinfo=UTC)
    found = history.served(history.choose(past, place.classifier, version, as_of), past, target)
    return found if found.bundle_uri else _registered(found, mlflow_uri, model)


@live
def verify_bundle(place: Place, past: Past, wanted: Served) -> BundleManifest:
    """Prove every byte of the bundle; BadInput names another version to go back to."""
    try:
        return bundles.verify(aws.client("s3"), wanted.bundle_uri, wanted.bundle_digest)
    except (BadInput, ClientError) as error:
        if isinstance(error, ClientError) and error.response["Error"]["Code"] != "NoSuchKey":
            raise
        other = history.next_good(past, wanted.version)
        advice = (
            f"the next good version is {other.version}: prefect deployment run "
            f"'rollback/{place.classifier}' -p version='\"{other.version}\"'"
            if other
            else "no other version served well before"
        )
        raise BadInput(f"version {wanted.version} cannot be had: {error}; {advice}") from error


@live
def put_back(place: Place, taken: Release, reason: str) -> str:
    """Callers and journal as they were before the release that was taken over."""
    candidate = taken.candidate
    assert candidate is not None  # it is unfinished
    there = replace(place, target=candidate.target)
    try:
        told = TARGETS[there.target].restore(aws.client, there, candidate, taken.op_id)
    except OldSideDown as error:  # what follows brings a side up that answers
        log.warning("%s", error)
        told = str(error)
    releases.reopen_release.fn(place, taken, reason)
    return f"the release of version {candidate.version} was taken over and put back: {told}"


def tell_failure(place: Place, wanted: Served, told: dict[str, str], reason: str) -> None:
    """One message and one page for a rollback that failed."""
    title = f"Rollback of {place.classifier} to version {wanted.version} did not complete"
    alerts.publish_steps(f"rollback-{place.classifier}", title, {**told, "failed": reason})
    again = f"prefect deployment run 'rollback/{place.classifier}'"
    alerts.notify(place, title, reason, again)


def _registered(wanted: Served, mlflow_uri: str, model: str) -> Served:
    try:
        found = registry.get_version(registry.client(mlflow_uri), model, wanted.version)
    except (registry.refusal(), NotFound) as error:
        raise NotFound(
            f"version {wanted.version}: its ledger record is too old to name the bundle's address, "
            f"and the registry at {mlflow_uri} does not tell it: {error}"
        ) from error
    if found.bundle_digest != wanted.bundle_digest:
        raise BadInput(
            f"version {wanted.version} is bundle {found.bundle_digest[:12]} in the registry, what "
            f"served was {wanted.bundle_digest[:12]}: name another version"
        )
    return replace(wanted, bundle_uri=found.bundle_uri)
