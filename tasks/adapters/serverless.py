"""SageMaker without instances as a place to serve: one endpoint, one variant, all callers at once.

A new version is tried on an endpoint of its own, which costs nothing while nobody asks it. AWS
knows no weights here, no shadow variant, no autoscaling and no data capture. What served before
does not run any more after the switch: only its config is left, so whether it would answer is not
known before it does. AWS brings a config up before it gets callers, or keeps what serves.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from botocore.exceptions import ClientError

from tasks.adapters import endpoints, invocations, probes, updates, variants
from tasks.adapters import traffic as counted
from tasks.adapters.invocations import Session
from tasks.errors import DeployFailed, OldSideDown
from tasks.records import Answer, Arm, Place, Served

Clients = Callable[[str], Any]
Side = Literal["new", "old"]

_STEADY_S = 300  # a cold start takes up to a minute
_RELEASE, _BEFORE = "Release", "Before"  # tags: which operation switched, and from which config


def prepare(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """The model and the config are there; the config stays, so that one can go back to it."""
    model = variants.ensure_model(client("sagemaker"), place, wanted)
    return f"model {model}, config {_ensure_config(client, place, wanted)}"


def stage(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """Start the version on an endpoint of its own, and wait until it is warm."""
    sagemaker, beside = client("sagemaker"), _beside(place)
    config = _ensure_config(client, place, wanted)
    seen = updates.settled(sagemaker, beside)
    if seen is not None and not _left_by(sagemaker, seen, config, op_id):
        updates.delete(sagemaker, beside)
        seen = None
    if seen is None:
        updates.create(sagemaker, beside, config, op_id)
    updates.arrived(sagemaker, beside, config)
    probes.steady(lambda: ask(client, beside, probes.HELLO), wanted, _STEADY_S, times=3)
    return f"endpoint {beside.endpoint} from config {config}"


def warm(client: Clients, place: Place, wanted: Served, op_id: str) -> bool:
    """Whether there is a config of exactly this version: a start of it takes no more."""
    return variants.known(client("sagemaker"), _config(place, wanted))


def shift(client: Clients, place: Place, wanted: Served, op_id: str, percent: int) -> str:
    """All callers to the version; DeployFailed for a part of them. What served is remembered."""
    if percent != 100:
        raise DeployFailed(
            f"{place.endpoint} has one variant: {percent} % of the callers cannot be"
        )
    sagemaker, config = client("sagemaker"), _ensure_config(client, place, wanted)
    if (seen := updates.usable(sagemaker, place)) is None:
        updates.create(sagemaker, place, config, op_id)
    elif (before := seen["EndpointConfigName"]) != config:
        updates.check(place, seen)
        marks = variants.tag_list({_RELEASE: op_id, _BEFORE: before})
        sagemaker.add_tags(ResourceArn=seen["EndpointArn"], Tags=marks)
        updates.update(sagemaker, place, config)
    updates.arrived(sagemaker, place, config)
    return f"{variants.name(wanted)} 100, from config {config}"


def traffic(
    client: Clients,
    place: Place,
    wanted: Served,
    op_id: str,
    since: datetime,
    until: datetime,
    slow_s: float,
) -> tuple[Arm, Arm | None]:
    """What callers were answered by the version; no other one answers in the same minutes."""
    dimensions = {"EndpointName": place.endpoint, "VariantName": variants.name(wanted)}
    sides = [(wanted.version, dimensions)]
    return counted.arms(client("cloudwatch"), counted.VARIANT, sides, since, until, slow_s)[0], None


def session(client: Clients, place: Place, wanted: Served, op_id: str, side: Side) -> Session:
    """The staged endpoint, or what callers get while that is another version.

    As many requests at a time as AWS lets through.
    """
    there = _side(client, place, wanted, side)
    return Session(client, there or place, "" if there else None, place.max_concurrency)


def healthy(client: Clients, place: Place, wanted: Served, op_id: str, side: Side) -> bool:
    """Whether that side answers; AWS tells of no health of its own."""
    there = _side(client, place, wanted, side)
    return there is not None and ask(client, there, probes.HELLO).status in {200, 429}


def scale_out(client: Clients, place: Place, wanted: Served, op_id: str) -> str | None:
    """Nothing: AWS starts what is asked for, up to `serverless_max_concurrency`."""
    return None


def prove(client: Clients, place: Place, wanted: Served, payload: dict[str, str]) -> str:
    """What answers callers is the version and the bundle asked for."""
    return invocations.prove(client, place, wanted, lambda: ask(client, place, payload), _STEADY_S)


def ask(client: Clients, place: Place, payload: dict[str, str]) -> Answer:
    """Ask as callers do; status 0 when there is no endpoint, 429 when others take all of it."""
    told = f"{place.max_concurrency} requests at a time are too few for those who ask"
    busy = Answer(429, f"{place.endpoint} is busy: {told}", "", "")
    return _unless_busy(lambda: invocations.invoke(client, place, payload), busy)


def look(client: Clients, place: Place, timeout_s: float) -> Answer:
    """As on a real-time endpoint; one that is busy answers others, so it is well."""
    busy = Answer(200, f"{place.endpoint} is busy", "", "")
    return _unless_busy(lambda: endpoints.look(client, place, timeout_s), busy)


def restore(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """Callers as before this operation, and its endpoints away.

    OldSideDown when AWS cannot bring the old version up and the new one answers: callers stay
    with it.
    """
    sagemaker = client("sagemaker")
    told = _go_back(client, place, wanted, op_id)
    _discard(sagemaker, _beside(place))
    return told


def retire(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """The endpoint on which the version was tried is gone."""
    _discard(client("sagemaker"), _beside(place))
    return f"{_beside(place).endpoint} is gone; the old config stays to go back to"


address = endpoints.address


def _go_back(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    sagemaker = client("sagemaker")
    if (seen := updates.settled(sagemaker, place)) is None:
        return "nothing was changed"
    if updates.made_by(sagemaker, seen, op_id):
        updates.delete(sagemaker, place)
        return "the new endpoint is gone"
    updates.check(place, seen)
    marks = updates.tags(sagemaker, seen)
    if marks.get(_RELEASE) != op_id or seen["EndpointConfigName"] == marks[_BEFORE]:
        return f"callers were not moved from config {seen['EndpointConfigName']}"
    before = marks[_BEFORE]
    updates.update(sagemaker, place, before)
    try:
        updates.arrived(sagemaker, place, before)
    except DeployFailed as error:
        if ask(client, place, probes.HELLO).status not in {200, 429}:
            raise
        raise OldSideDown(
            f"what served before cannot be brought back, so callers stay with version "
            f"{wanted.version}: {error}"
        ) from error
    return f"callers are back on config {before}"


def _unless_busy(ask_once: Callable[[], Answer], busy: Answer) -> Answer:
    """The answer, or `busy` where AWS refuses one more request at a time."""
    try:
        return ask_once()
    except ClientError as error:
        if error.response["Error"]["Code"] != "ThrottlingException":
            raise
        return busy


def _beside(place: Place) -> Place:
    return replace(place, beside=True)


def _config(place: Place, wanted: Served) -> str:
    return variants.config_name(place, [variants.serverless_spec(place, wanted)])


def _ensure_config(client: Clients, place: Place, wanted: Served) -> str:
    spec = variants.serverless_spec(place, wanted)
    return variants.ensure_config(client("sagemaker"), place, [spec])


def _discard(sagemaker: Any, place: Place) -> None:
    """The endpoint is gone; AWS takes none away that is still coming up."""
    if updates.settled(sagemaker, place) is not None:
        updates.delete(sagemaker, place)


def _left_by(sagemaker: Any, seen: Any, config: str, op_id: str) -> bool:
    """Whether this operation has staged the config before, and it came up."""
    found = (seen["EndpointStatus"], seen["EndpointConfigName"])
    return found == ("InService", config) and updates.made_by(sagemaker, seen, op_id)


def _side(client: Clients, place: Place, wanted: Served, side: Side) -> Place | None:
    """The endpoint that runs the side, None when there is none."""
    sagemaker = client("sagemaker")
    if side == "new" and updates.seen(sagemaker, _beside(place)) is not None:
        return _beside(place)
    if (seen := updates.seen(sagemaker, place)) is None:
        return None
    new = variants.name(wanted) in updates.weights(seen)
    return place if new == (side == "new") else None
