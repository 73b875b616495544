"""Steps that start a version, try it, and move live traffic; the same for every target."""

import logging
from collections.abc import Callable

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import releases
from tasks.adapters import aws, bundles, probes
from tasks.records import Place, Release, Served
from tasks.retries import live
from tasks.smoke import GoldenTexts as GoldenTexts
from tasks.smoke import smoke_test as smoke_test
from tasks.targets import TARGETS

log = logging.getLogger(__name__)


def on_failure(
    step: Callable[..., object], *args: object, unless: type[BaseException] | None = None
) -> Callable[..., None]:
    """An exit callback that calls `step` with the reason, only when the block failed.

    Not when it failed in the way of `unless`: then somebody else has to do it later.
    """

    def undo(kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if kind is not None and not (unless and issubclass(kind, unless)):
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


@live
def is_warm(place: Place, wanted: Served, op_id: str) -> bool:
    """Whether this version runs already where it would be started."""
    return TARGETS[place.target].warm(aws.client, place, wanted, op_id)


@live(task_run_name="start version {wanted.version} beside the old one")
def stage(place: Place, wanted: Served, op_id: str) -> str:
    """Start the version beside the old one and wait until it is warm."""
    return TARGETS[place.target].stage(aws.client, place, wanted, op_id)


@live(task_run_name="{percent} % to version {wanted.version}")
def shift(place: Place, wanted: Served, op_id: str, percent: int) -> str:
    """That share of the callers to the staged version, the rest to what served before."""
    return TARGETS[place.target].shift(aws.client, place, wanted, op_id, percent)


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
    place: Place,
    release: Release | None,
    wanted: Served,
    golden: GoldenTexts,
    times: int = 1,
) -> Release | None:
    """The release, if this version is its champion and what callers reach, so many times."""
    if release is None or not releases.is_champion(release, wanted):
        return None
    for _ in range(times):
        answer = TARGETS[place.target].ask(aws.client, place, {"text": golden[0][0]})
        found = (answer.status, answer.version, answer.digest)
        if found != (200, wanted.version, wanted.bundle_digest):
            return None
    return release


def who_answers(place: Place) -> str | None:
    """The version that a caller reaches now, None when nobody answers."""
    answer = TARGETS[place.target].ask(aws.client, place, probes.HELLO)
    return answer.version if answer.status == 200 else None


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
