"""EC2 as a place to serve: a stack with a blue and a green instance behind one load balancer."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.adapters import commands, probes, secrets, stacks, waits
from tasks.errors import NotFound
from tasks.records import Answer, Place, Served

Clients = Callable[[str], Any]

_COLOURS = ("Blue", "Green")
_HEALTHY_S = 300
_STEADY_S = 120


def prepare(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """The stack of this place is there; what serves in it keeps its traffic."""
    template = Path(place.template).read_text("utf-8")
    name = _stack(place)
    # An update that touches the listener would put the template's own weights back.
    before = (
        _split(client, out) if (out := stacks.outputs(client("cloudformation"), name)) else None
    )
    token = hashlib.sha256(f"{name}{template}{op_id}".encode()).hexdigest()
    out = stacks.ensure(
        client("cloudformation"), name, template, _parameters(client, place), place.tags, token
    )
    if before is not None and _split(client, out) != before:
        _set_split(client, out, before)
    return f"stack {name}"


def stage(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """Start the version on the idle colour, wait until it is warm, lead the test listener to it."""
    out = _outputs(client, place)
    colour = _colour(client, out, op_id)
    commands.run(
        client("ssm"),
        out[f"{colour}InstanceId"],
        out["DeployDocument"],
        {
            "ImageUri": place.image,
            "ModelUri": wanted.bundle_uri,
            "ModelName": place.classifier,
            "ModelVersion": wanted.version,
            "BundleDigest": wanted.bundle_digest,
            "MaxChars": str(place.max_chars),
            "KeysSecret": place.keys_secret,
        },
        op_id,
    )
    group = out[f"{colour}TargetGroupArn"]
    client("elbv2").modify_listener(
        ListenerArn=out["TestListenerArn"], DefaultActions=[_forward({group: 1})]
    )
    _wait_healthy(client, colour, group)
    probe = {"text": "Is anybody there?"}
    key = _key(client, place)
    probes.steady(lambda: probes.ask(out["TestUrl"], probe, key), wanted, _STEADY_S, times=3)
    return f"{colour.lower()} instance {out[f'{colour}InstanceId']}"


def ask_staged(
    client: Clients, place: Place, wanted: Served, op_id: str, payload: dict[str, str]
) -> Answer:
    """Ask the staged side alone."""
    return probes.ask(_outputs(client, place)["TestUrl"], payload, _key(client, place))


def switch(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """All traffic to the staged colour."""
    out = _outputs(client, place)
    colour = _colour(client, out, op_id)
    _set_split(client, out, {colour: 100, _other(colour): 0})
    return f"{colour.lower()} 100, {_other(colour).lower()} 0"


def prove(client: Clients, place: Place, wanted: Served, payload: dict[str, str]) -> str:
    """What answers the public address is the version and the bundle asked for."""
    url = _outputs(client, place)["EndpointUrl"]
    key = _key(client, place)
    probes.steady(lambda: probes.ask(url, payload, key), wanted, _STEADY_S)
    return f"{url} answers as version {wanted.version}, bundle {wanted.bundle_digest[:12]}"


def ask(client: Clients, place: Place, payload: dict[str, str]) -> Answer:
    """Ask the public address; status 0 when there is none."""
    if (out := stacks.outputs(client("cloudformation"), _stack(place))) is None:
        return Answer(0, f"there is no stack {_stack(place)}", "", "")
    return probes.ask(out["EndpointUrl"], payload, _key(client, place))


def restore(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """All traffic to the colour that this release did not touch."""
    if (out := stacks.outputs(client("cloudformation"), _stack(place))) is None:
        return "nothing was changed"
    old = _other(_colour(client, out, op_id))
    _set_split(client, out, {old: 100, _other(old): 0})
    return f"{old.lower()} 100, {_other(old).lower()} 0"


def retire(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """Nothing to do: the old colour stays warm, so that going back is a change of weights."""
    return "the old colour stays warm"


def address(client: Clients, place: Place) -> str:
    """Where callers send their texts."""
    return _outputs(client, place)["EndpointUrl"]


def _key(client: Clients, place: Place) -> str:
    if (key := secrets.read(client("secretsmanager"), place.operator_secret)) is None:
        raise NotFound(f"there is no secret {place.operator_secret}: run make bootstrap")
    return key


def _stack(place: Place) -> str:
    return f"{place.prefix}-ec2"


def _other(colour: str) -> str:
    return _COLOURS[1 - _COLOURS.index(colour)]


def _outputs(client: Clients, place: Place) -> dict[str, str]:
    if (out := stacks.outputs(client("cloudformation"), _stack(place))) is None:
        raise NotFound(f"there is no stack {_stack(place)}; run deploy for {place.classifier}")
    return out


def _colour(client: Clients, out: dict[str, str], op_id: str) -> str:
    """Where this operation's version runs or shall run: never the colour that serves.

    A re-run after the switch finds its colour by its command, not by the weights.
    """
    for colour in _COLOURS:
        if commands.sent(client("ssm"), out[f"{colour}InstanceId"], op_id):
            return colour
    split = _split(client, out)
    return "Green" if split["Blue"] >= split["Green"] else "Blue"


def _wait_healthy(client: Clients, colour: str, group: str) -> None:
    told = ""

    def look() -> bool | None:
        nonlocal told
        targets = client("elbv2").describe_target_health(TargetGroupArn=group)
        states = [one["TargetHealth"] for one in targets["TargetHealthDescriptions"]]
        told = "; ".join(f"{one['State']} {one.get('Description', '')}".strip() for one in states)
        return True if states and all(one["State"] == "healthy" for one in states) else None

    waits.until(look, _HEALTHY_S, lambda: f"{colour.lower()} is {told or 'without a target'}")


def _parameters(client: Clients, place: Place) -> dict[str, str]:
    ec2 = client("ec2")
    vpc = place.vpc_id
    if not vpc:
        found = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        if not found:
            raise NotFound("the account has no default VPC; set PERENNIAL_VPC_ID")
        vpc = found[0]["VpcId"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    # A load balancer wants one subnet in each of two zones; sorted, so that a re-run asks the same.
    by_zone = {one["AvailabilityZone"]: one["SubnetId"] for one in subnets}
    if len(by_zone) < 2:
        raise NotFound(f"VPC {vpc} has subnets in {len(by_zone)} zones, a load balancer needs 2")
    return {
        "VpcId": vpc,
        "SubnetIds": ",".join(by_zone[zone] for zone in sorted(by_zone)[:2]),
        "InstanceProfile": place.instance_profile,
        "AlertTopicArn": place.topic_arn,
        "Project": place.project,
        "Environment": place.environment,
        "Classifier": place.classifier,
    }


def _split(client: Clients, out: dict[str, str]) -> dict[str, int]:
    """The weight of each colour on the public listener."""
    (listener,) = client("elbv2").describe_listeners(ListenerArns=[out["ListenerArn"]])["Listeners"]
    groups = listener["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]
    weights = {group["TargetGroupArn"]: int(group.get("Weight", 1)) for group in groups}
    return {colour: weights.get(out[f"{colour}TargetGroupArn"], 0) for colour in _COLOURS}


def _set_split(client: Clients, out: dict[str, str], split: dict[str, int]) -> None:
    weights = {out[f"{colour}TargetGroupArn"]: split[colour] for colour in _COLOURS}
    client("elbv2").modify_listener(
        ListenerArn=out["ListenerArn"], DefaultActions=[_forward(weights)]
    )


def _forward(weights: dict[str, int]) -> dict[str, Any]:
    groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()]
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}
