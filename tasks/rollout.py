"""Steps that start a version, try it, and move live traffic; the same for every target."""

import logging
from collections.abc import Callable

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import releases
from tasks.adapters import aws, bundles
from tasks.errors import GateFailed
from tasks.policy import smoke
from tasks.policy.smoke import Asked
from tasks.records import Outcome, Place, Release, Served
from tasks.retries import live
from tasks.targets import TARGETS

log = logging.getLogger(__name__)

GoldenTexts = tuple[tuple[str, str], ...]


def on_failure(step: Callable[..., object], *args: object) -> Callable[..., None]:
    """An exit callback that calls `step` with the reason, only when the block failed."""

    def undo(kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if kind is not None:
            step(*args, reason=f"{kind.__name__}: {error}"[:1000])

    return undo


@live
def golden_texts(
    place: Place, data_bucket: str, snapshot_sha256: str, count: int = 5
) -> GoldenTexts:
    """A few rows of the frozen test split, cut to what the endpoint takes."""
    uri = f"s3://{data_bucket}/datasets/{place.classifier}/{snapshot_sha256}"
    rows = bundles.golden(aws.client("s3"), uri, count)
    return tuple((text[: place.max_chars], label) for text, label in rows)


@live
def prepare_place(place: Place, wanted: Served, op_id: str) -> str:
    """What the version will run in is there; what serves now is not touched."""
    return TARGETS[place.target].prepare(aws.client, place, wanted, op_id)


@live(task_run_name="start version {wanted.version} beside the old one")
def stage(place: Place, wanted: Served, op_id: str) -> str:
    """Start the version beside the old one and wait until it is warm."""
    return TARGETS[place.target].stage(aws.client, place, wanted, op_id)


@live
def smoke_test(
    place: Place, wanted: Served, op_id: str, golden: GoldenTexts, labels: tuple[str, ...]
) -> str:
    """Ask the staged version alone, by both contracts; GateFailed unless every answer is right."""
    target = TARGETS[place.target]
    asked = tuple(
        Asked(key, label, target.ask_side(aws.client, place, wanted, op_id, "new", {key: text}))
        for text, label in golden
        for key in ("text", "data")
    )
    report = smoke.judge(asked, labels, wanted.version, wanted.bundle_digest)
    if report.outcome is not Outcome.PASS:
        raise GateFailed(f"smoke test of version {wanted.version}", report.reasons)
    return f"{report.requests} requests, {report.right} got the label of the test set"


@live(task_run_name="switch to version {wanted.version}")
def switch(place: Place, wanted: Served, op_id: str) -> str:
    """All traffic to the staged version."""
    return TARGETS[place.target].shift(aws.client, place, wanted, op_id, 100)


@live
def prove(place: Place, wanted: Served, golden: GoldenTexts) -> str:
    """What answers callers is exactly the version and bundle asked for."""
    return TARGETS[place.target].prove(aws.client, place, wanted, {"text": golden[0][0]})


@live
def answers_already(
    place: Place, release: Release | None, wanted: Served, golden: GoldenTexts
) -> Release | None:
    """The release, if this version is its champion and what callers reach."""
    if release is None or not releases.is_champion(release, wanted):
        return None
    answer = TARGETS[place.target].ask(aws.client, place, {"text": golden[0][0]})
    found = (answer.status, answer.version, answer.digest)
    return release if found == (200, wanted.version, wanted.bundle_digest) else None


@live
def restore_traffic(place: Place, release: Release, wanted: Served, reason: str) -> str:
    """Put the old split back, if this run still holds the release."""
    if releases.held(place, release) is None:
        log.warning("another run holds the release: traffic is its business, not touched here")
        return "not touched"
    log.warning("putting the old split back: %s", reason)
    return TARGETS[place.target].restore(aws.client, place, wanted, release.op_id)


@live
def retire_old(place: Place, wanted: Served, op_id: str) -> str:
    """After the commit: only what is still needed keeps running."""
    return TARGETS[place.target].retire(aws.client, place, wanted, op_id)


@task(cache_policy=NO_CACHE)
def address(place: Place) -> str:
    return TARGETS[place.target].address(aws.client, place)
