"""SageMaker as a place to serve: one endpoint; the new version is a variant beside the old one."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from botocore.exceptions import ConnectionError as Unconnected
from botocore.exceptions import HTTPClientError

from tasks.adapters import invocations, probes, scaling, updates, variants
from tasks.adapters import traffic as counted
from tasks.adapters.invocations import Session
from tasks.errors import OldSideDown
from tasks.records import Answer, Arm, Place, Served

Clients = Callable[[str], Any]
Side = Literal["new", "old"]

_STEADY_S = 120


def prepare(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """The model is there, and the alarm that rolls an update back."""
    model = variants.ensure_model(client("sagemaker"), place, wanted)
    variants.ensure_alarm(client("cloudwatch"), place, variants.name(wanted))
    return f"model {model}"


def stage(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """Start the version beside the old one at weight 0, or alone when there is none."""
    sagemaker = client("sagemaker")
    new = variants.name(wanted)
    if (seen := updates.usable(sagemaker, place)) is None:
        config = variants.ensure_config(sagemaker, place, [variants.spec(place, wanted, 1)])
        updates.create(sagemaker, place, config, op_id)
    elif new in updates.weights(seen):
        config = seen["EndpointConfigName"]
    else:
        updates.check(place, seen)
        olds = variants.specs(sagemaker, seen["EndpointConfigName"], updates.serving(seen))
        # As many instances as the old one grew to: it shall take all of its callers.
        beside = variants.spec(place, wanted, 0, max(updates.instances(seen).values()))
        config = variants.ensure_config(sagemaker, place, [*olds, beside])
        updates.update(sagemaker, place, config, new)
    updates.arrived(sagemaker, place, config)
    probes.steady(
        lambda: invocations.invoke(client, place, probes.HELLO, new), wanted, _STEADY_S, times=3
    )
    return f"variant {new} of config {config}"


def warm(client: Clients, place: Place, wanted: Served, op_id: str) -> bool:
    """Whether a variant beside the serving one runs exactly this version already."""
    seen = updates.settled(client("sagemaker"), place)
    return seen is not None and _answers(client, place, seen, variants.name(wanted), wanted)


def session(client: Clients, place: Place, wanted: Served, op_id: str, side: Side) -> Session:
    """One variant alone, whatever the callers get."""
    if side == "new":
        return Session(client, place, variants.name(wanted))
    return Session(client, place, _old(updates.seen(client("sagemaker"), place), wanted))


def healthy(client: Clients, place: Place, wanted: Served, op_id: str, side: Side) -> bool:
    """Whether the variant has instances and answers; AWS tells of no health of its own."""
    seen = updates.settled(client("sagemaker"), place)
    name = variants.name(wanted) if side == "new" else _old(seen, wanted)
    return seen is not None and name is not None and _answers(client, place, seen, name)


def shift(client: Clients, place: Place, wanted: Served, op_id: str, percent: int) -> str:
    """So many percent of the callers to the new variant; all of them where it is alone."""
    sagemaker = client("sagemaker")
    seen = updates.there(sagemaker, place)
    new, old = variants.name(wanted), _old(seen, wanted)
    if old is None:
        return updates.shift(sagemaker, place, seen, {new: 100})
    # The old one may have grown since the new one was staged.
    updates.grow(sagemaker, place, seen, new, updates.instances(seen)[old])
    return updates.shift(sagemaker, place, seen, {new: percent, old: 100 - percent})


def traffic(
    client: Clients,
    place: Place,
    wanted: Served,
    op_id: str,
    since: datetime,
    until: datetime,
    slow_s: float,
) -> tuple[Arm, Arm | None]:
    """What the new and the old variant answered, over the same minutes; probes are in it too."""
    sagemaker = client("sagemaker")
    names = {wanted.version: variants.name(wanted)}
    if old := _old(updates.there(sagemaker, place), wanted):
        names[updates.identity(sagemaker, place, old)[0]] = old
    sides = [
        (version, {"EndpointName": place.endpoint, "VariantName": name})
        for version, name in names.items()
    ]
    found = counted.arms(client("cloudwatch"), counted.VARIANT, sides, since, until, slow_s)
    return found[0], found[1] if len(found) > 1 else None


def scale_out(client: Clients, place: Place, wanted: Served, op_id: str) -> str | None:
    """One instance more than the new variant began with or the old one has; None: not so many."""
    sagemaker = client("sagemaker")
    seen, new = updates.there(sagemaker, place), variants.name(wanted)
    began = variants.instances(sagemaker, seen["EndpointConfigName"], new)
    count = max(began, updates.instances(seen).get(_old(seen, wanted) or "", 0)) + 1
    if count > scaling.MAXIMUM:
        return None
    return updates.grow(sagemaker, place, seen, new, count)


def prove(client: Clients, place: Place, wanted: Served, payload: dict[str, str]) -> str:
    """What answers callers is the version and the bundle asked for."""
    return invocations.prove(client, place, wanted, lambda: ask(client, place, payload), _STEADY_S)


def ask(client: Clients, place: Place, payload: dict[str, str]) -> Answer:
    """Ask as callers do; status 0 when there is no endpoint."""
    return invocations.invoke(client, place, payload)


def look(client: Clients, place: Place, timeout_s: float) -> Answer:
    """How AWS says it is, then one answer as callers get it: a SageMaker endpoint has no /health.

    The client's own time-outs count; status 0 when nobody is there in time.
    """
    seen = updates.seen(client("sagemaker"), place)
    if seen is not None and seen["EndpointStatus"] in updates.BROKEN:
        told = seen.get("FailureReason") or "no reason given"
        return Answer(503, f"endpoint {place.endpoint} is {seen['EndpointStatus']}: {told}", "", "")
    try:
        return ask(client, place, probes.HELLO)
    except (HTTPClientError, Unconnected) as error:
        return Answer(0, f"{type(error).__name__}: {error}", "", "")


def restore(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """All traffic to what served before; an endpoint that this operation made goes away.

    Never to a dead variant while callers are answered: OldSideDown then, with all on the new one.
    """
    sagemaker = client("sagemaker")
    if (seen := updates.settled(sagemaker, place)) is None:
        return "nothing was changed"
    if updates.made_by(sagemaker, seen, op_id):
        updates.delete(sagemaker, place)
        return "the new endpoint is gone"
    updates.check(place, seen)
    new, old = variants.name(wanted), _old(seen, wanted)
    if old is None:
        return "the same version served before"
    if (
        new in updates.serving(seen)
        and not _answers(client, place, seen, old)
        and _answers(client, place, seen, new)
    ):
        told = updates.shift(sagemaker, place, seen, {new: 100, old: 0})
        raise OldSideDown(
            f"variant {old} of {place.endpoint} does not answer, so callers are not sent back to "
            f"it: {told}; its logs are in CloudWatch Logs /aws/sagemaker/Endpoints/{place.endpoint}"
        )
    return updates.shift(sagemaker, place, seen, {old: 100, new: 0})


def retire(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """The endpoint holds the new version only, and grows and shrinks with its load."""
    sagemaker, autoscaling = client("sagemaker"), client("application-autoscaling")
    seen = updates.there(sagemaker, place)
    new = variants.name(wanted)
    olds = sorted(set(updates.weights(seen)) - {new})
    for old in olds:
        scaling.remove(autoscaling, place.endpoint, old)
    if olds:
        config = variants.ensure_config(sagemaker, place, [variants.spec(place, wanted, 1)])
        updates.update(sagemaker, place, config, new)
        updates.arrived(sagemaker, place, config)
    scaling.ensure(autoscaling, place.endpoint, new)
    return f"retired {', '.join(olds) or 'nothing'}; {new} scales from 1 to 5 instances"


def address(client: Clients, place: Place) -> str:
    """What callers name in InvokeEndpoint."""
    return f"sagemaker://{place.endpoint}"


def _old(seen: Any | None, wanted: Served) -> str | None:
    """The variant that served before: of the others the one with the most callers."""
    others = updates.weights(seen) if seen else {}
    others.pop(variants.name(wanted), None)
    return max(others, key=lambda name: others[name], default=None)


def _answers(
    client: Clients, place: Place, seen: Any, name: str, wanted: Served | None = None
) -> bool:
    """Whether the variant is there and answers, and as `wanted` where that is given."""
    if updates.instances(seen).get(name, 0) < 1:
        return False
    answer = invocations.invoke(client, place, probes.HELLO, name)
    told = (answer.version, answer.digest)
    return answer.status == 200 and (
        wanted is None or told == (wanted.version, wanted.bundle_digest)
    )
