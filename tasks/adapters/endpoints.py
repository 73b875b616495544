"""SageMaker as a place to serve: one endpoint; the new version is a variant beside the old one."""

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from tasks.adapters import probes, scaling, updates, variants
from tasks.records import Answer, Place, Served

Clients = Callable[[str], Any]

_STEADY_S = 120
# What the endpoint says about itself; everything else is an error of ours or of AWS.
_ANSWERS = frozenset(
    {"ModelError", "ValidationError", "ServiceUnavailable", "ModelNotReadyException"}
)


def prepare(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """The model is there, and the alarm that rolls an update back."""
    model = variants.ensure_model(client("sagemaker"), place, wanted)
    variants.ensure_alarm(client("cloudwatch"), place, variants.name(wanted))
    return f"model {model}"


def stage(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """Start the version beside the old one at weight 0, or alone when there is none."""
    sagemaker = client("sagemaker")
    seen = updates.settled(sagemaker, place)
    if seen is not None and seen["EndpointStatus"] == "Failed":
        updates.delete(sagemaker, place)
        seen = None
    new = variants.name(wanted)
    if seen is None:
        config = variants.ensure_config(sagemaker, place, [variants.spec(place, wanted, 1)])
        updates.create(sagemaker, place, config, op_id)
    elif new in updates.weights(seen):
        config = seen["EndpointConfigName"]
    else:
        olds = variants.specs(sagemaker, seen["EndpointConfigName"], updates.serving(seen))
        both = [*olds, variants.spec(place, wanted, 0)]
        config = variants.ensure_config(sagemaker, place, both)
        updates.update(sagemaker, place, config, new)
    updates.arrived(sagemaker, place, config)
    probes.steady(
        lambda: ask_staged(client, place, wanted, op_id, {"text": "Is anybody there?"}),
        wanted,
        _STEADY_S,
        times=3,
    )
    return f"variant {new} of config {config}"


def ask_staged(
    client: Clients, place: Place, wanted: Served, op_id: str, payload: dict[str, str]
) -> Answer:
    """Ask the staged variant alone."""
    return _invoke(client, place, payload, TargetVariant=variants.name(wanted))


def switch(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """All traffic to the new variant."""
    sagemaker = client("sagemaker")
    seen = updates.there(sagemaker, place)
    return updates.shift(sagemaker, place, seen, {variants.name(wanted)})


def prove(client: Clients, place: Place, wanted: Served, payload: dict[str, str]) -> str:
    """What answers callers is the version and the bundle asked for."""
    probes.steady(lambda: ask(client, place, payload), wanted, _STEADY_S)
    config = updates.there(client("sagemaker"), place)["EndpointConfigName"]
    return f"{place.prefix} answers as version {wanted.version} from config {config}"


def ask(client: Clients, place: Place, payload: dict[str, str]) -> Answer:
    """Ask as callers do; status 0 when there is no endpoint."""
    return _invoke(client, place, payload)


def restore(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """All traffic to what served before; an endpoint that this operation made goes away."""
    sagemaker = client("sagemaker")
    if (seen := updates.settled(sagemaker, place)) is None:
        return "nothing was changed"
    if updates.made_by(sagemaker, seen, op_id):
        updates.delete(sagemaker, place)
        return "the new endpoint is gone"
    olds = set(updates.weights(seen)) - {variants.name(wanted)}
    if not olds:
        return "the same version served before"
    return updates.shift(sagemaker, place, seen, olds)


def retire(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """The endpoint holds the new version only, and grows and shrinks with its load."""
    sagemaker, autoscaling = client("sagemaker"), client("application-autoscaling")
    seen = updates.there(sagemaker, place)
    new = variants.name(wanted)
    olds = sorted(set(updates.weights(seen)) - {new})
    for old in olds:
        scaling.remove(autoscaling, place.prefix, old)
    if olds:
        config = variants.ensure_config(sagemaker, place, [variants.spec(place, wanted, 1)])
        updates.update(sagemaker, place, config, new)
        updates.arrived(sagemaker, place, config)
    scaling.ensure(autoscaling, place.prefix, new)
    return f"retired {', '.join(olds) or 'nothing'}; {new} scales from 1 to 5 instances"


def address(client: Clients, place: Place) -> str:
    """What callers name in InvokeEndpoint."""
    return f"sagemaker://{place.prefix}"


def _invoke(client: Clients, place: Place, payload: dict[str, str], **target: str) -> Answer:
    """The container's headers do not come through, so who answered is told by AWS and the body."""
    try:
        found = client("sagemaker-runtime").invoke_endpoint(
            EndpointName=place.prefix,
            ContentType="application/json",
            Accept="application/json",
            Body=json.dumps(payload).encode(),
            **target,
        )
    except ClientError as error:
        if error.response["Error"]["Code"] not in _ANSWERS:
            raise
        status = int(str(error.response.get("OriginalStatusCode", 0)))
        return Answer(status, error.response["Error"]["Message"], "", "")
    body = found["Body"].read().decode()
    variant = found.get("InvokedProductionVariant", "")
    version, digest = updates.identity(client("sagemaker"), place, variant)
    said = json.loads(body)
    if "text" in payload and said.get("model_version") != version:
        return Answer(200, body, f"{said.get('model_version')} as {variant}", digest)
    return Answer(200, body, version, digest)
