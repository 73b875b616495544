"""EC2 as a place to serve: a stack with a blue and a green instance behind one load balancer."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tasks.adapters import colours, commands, probes, secrets, stacks
from tasks.adapters import traffic as counted
from tasks.errors import DeployFailed, NotFound, OldSideDown
from tasks.records import Answer, Arm, Place, Served

Clients = Callable[[str], Any]
Side = Literal["new", "old"]

_STEADY_S = 120
# The public listener in a template, and the port that it may have.
_LISTENER = re.compile(r"^  (?:ListenerPort: .*|Listener:\n(?:(?:    .*)?\n)*)", re.MULTILINE)


def prepare(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """The stack of this place is there; what serves in it keeps its traffic."""
    template = Path(place.template).read_text("utf-8")
    name = _stack(place)
    parameters = _parameters(client, place)
    elbv2, out = client("elbv2"), stacks.outputs(client("cloudformation"), name)
    before = colours.split(elbv2, out) if out else None
    if before is not None:
        now = stacks.made(client("cloudformation"), name)
        parameters |= _weights(now, template, before)
    token = hashlib.sha256(f"{name}{template}{op_id}".encode()).hexdigest()
    keep = partial(stacks.write_made, client("s3"), place.models_bucket, name)
    asked = (name, template, parameters, place.tags, token)
    out = stacks.ensure(client("cloudformation"), *asked, keep=keep)
    if before is not None and colours.split(elbv2, out) != before:
        colours.set_split(elbv2, out, before)
    return f"stack {name}"


def stage(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """Start the version on the idle colour, wait until it is warm, lead the test listener to it.

    A colour that runs exactly this version is left as it runs.
    """
    out, elbv2 = _outputs(client, place), client("elbv2")
    colour = colours.of(elbv2, out, op_id)
    ready = _runs(client, place, out, colour, wanted)
    colours.mark(elbv2, out, colour, op_id, wanted.version)
    if not ready:
        _start(client, place, out, colour, wanted, op_id)
    colours.lead_tests(elbv2, out, colour)
    colours.wait_healthy(elbv2, out, colour)
    ask_it = _asking(client, place, out, colour)
    probes.steady(lambda: ask_it(probes.HELLO), wanted, _STEADY_S, times=3)
    told = f"{colour.lower()} instance {out[f'{colour}InstanceId']}"
    return f"{told}, where it ran already" if ready else told


def warm(client: Clients, place: Place, wanted: Served, op_id: str) -> bool:
    """Whether the colour that would take this version runs exactly it already."""
    if not (out := stacks.outputs(client("cloudformation"), _stack(place))):
        return False
    return _runs(client, place, out, colours.of(client("elbv2"), out, op_id), wanted)


def session(
    client: Clients, place: Place, wanted: Served, op_id: str, side: Side
) -> probes.Session:
    """One side alone, for many requests: looked up once, with connections that are kept."""
    out = _outputs(client, place)
    named = colours.naming(_colour(client, out, op_id, side))
    return probes.Session(out["TestUrl"], _key(client, place), named)


def healthy(client: Clients, place: Place, wanted: Served, op_id: str, side: Side) -> bool:
    """Whether the load balancer would send callers there."""
    out = _outputs(client, place)
    return colours.healthy(client("elbv2"), out, _colour(client, out, op_id, side))


def shift(client: Clients, place: Place, wanted: Served, op_id: str, percent: int) -> str:
    """So many percent of the callers to the staged colour; DeployFailed when it is not healthy."""
    out, elbv2 = _outputs(client, place), client("elbv2")
    new = colours.of(elbv2, out, op_id)
    health = colours.health(elbv2, out, new)
    if percent > 0 and health != "healthy":
        raise DeployFailed(f"{new.lower()} of {_stack(place)} is {health}: it gets no callers")
    return colours.set_split(elbv2, out, {new: percent, colours.other(new): 100 - percent})


def traffic(
    client: Clients,
    place: Place,
    wanted: Served,
    op_id: str,
    since: datetime,
    until: datetime,
    slow_s: float,
) -> tuple[Arm, Arm | None]:
    """What the new and the old colour answered, over the same minutes; probes are in it too."""
    out, elbv2 = _outputs(client, place), client("elbv2")
    new = colours.of(elbv2, out, op_id)
    sides = [(wanted.version, colours.dimensions(out, new))]
    if before := colours.version(elbv2, out, colours.other(new)):
        sides.append((before, colours.dimensions(out, colours.other(new))))
    found = counted.arms(client("cloudwatch"), counted.BALANCER, sides, since, until, slow_s)
    return found[0], found[1] if len(found) > 1 else None


def scale_out(client: Clients, place: Place, wanted: Served, op_id: str) -> str | None:
    """Nothing: a colour is one instance."""
    return None


def prove(client: Clients, place: Place, wanted: Served, payload: dict[str, str]) -> str:
    """What answers the public address is the version and the bundle asked for."""
    url = _outputs(client, place)["EndpointUrl"]
    key = _key(client, place)
    probes.steady(lambda: probes.ask(url, payload, key), wanted, _STEADY_S)
    return f"{url} answers as version {wanted.version}, bundle {wanted.bundle_digest[:12]}"


def ask(client: Clients, place: Place, payload: dict[str, str]) -> Answer:
    """Ask the public address; status 0 when there is none."""
    if not (out := stacks.outputs(client("cloudformation"), _stack(place))):
        return Answer(0, f"there is no stack {_stack(place)}", "", "")
    return probes.ask(out["EndpointUrl"], payload, _key(client, place))


def look(client: Clients, place: Place, timeout_s: float) -> Answer:
    """Ask the public address how it is; status 0 when there is none."""
    if not (out := stacks.outputs(client("cloudformation"), _stack(place))):
        return Answer(0, f"there is no stack {_stack(place)}", "", "")
    return probes.look(out["EndpointUrl"], timeout_s)


def restore(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """All traffic to the colour that this release did not touch.

    Never to a dead one while callers are answered: OldSideDown then, with all on the new colour.
    """
    if not (out := stacks.outputs(client("cloudformation"), _stack(place))):
        return "nothing was changed"
    elbv2 = client("elbv2")
    new = colours.of(elbv2, out, op_id)
    old = colours.other(new)
    if (
        colours.version(elbv2, out, old)
        and colours.split(elbv2, out)[new] > 0
        and (health := colours.health(elbv2, out, old)) != "healthy"
        and colours.healthy(elbv2, out, new)
    ):
        told = colours.set_split(elbv2, out, {new: 100, old: 0})
        raise OldSideDown(
            f"{old.lower()} of {_stack(place)} is {health}, so callers are not sent back to it: "
            f"{told}, version {wanted.version} answers; mend instance {out[f'{old}InstanceId']}"
        )
    return colours.set_split(elbv2, out, {old: 100, new: 0})


def retire(client: Clients, place: Place, wanted: Served, op_id: str) -> str:
    """Nothing to do: the old colour stays warm, so that going back is a change of weights."""
    return "the old colour stays warm"


def recover(client: Clients, stack: str, bucket: str) -> str:
    """The stack as it was before its last update; who gets which version stays as it is."""
    cloudformation, elbv2 = client("cloudformation"), client("elbv2")
    out = stacks.outputs(cloudformation, stack)
    before = colours.split(elbv2, out) if out else None
    made = stacks.read_made(client("s3"), bucket, stack)
    if made and before:
        weights = _weights(stacks.made(cloudformation, stack), made.template, before)
        made = replace(made, parameters=made.parameters | weights)
    told = stacks.recover(cloudformation, stack, made)
    out = stacks.outputs(cloudformation, stack)
    if before and out and colours.split(elbv2, out) != before:
        colours.set_split(elbv2, out, before)
    return told


def address(client: Clients, place: Place) -> str:
    """Where callers send their texts."""
    return _outputs(client, place)["EndpointUrl"]


def _key(client: Clients, place: Place) -> str:
    if (key := secrets.read(client("secretsmanager"), place.operator_secret)) is None:
        raise NotFound(f"there is no secret {place.operator_secret}: run make bootstrap")
    return key


def _stack(place: Place) -> str:
    return f"{place.prefix}-ec2"


def _outputs(client: Clients, place: Place) -> dict[str, str]:
    if not (out := stacks.outputs(client("cloudformation"), _stack(place))):
        raise NotFound(f"there is no stack {_stack(place)}; run deploy for {place.classifier}")
    return out


def _colour(client: Clients, out: dict[str, str], op_id: str, side: Side) -> str:
    new = colours.of(client("elbv2"), out, op_id)
    return new if side == "new" else colours.other(new)


def _asking(
    client: Clients, place: Place, out: dict[str, str], colour: str
) -> Callable[[dict[str, str]], Answer]:
    """Asks this colour alone, by a rule of the test listener."""
    key, named = _key(client, place), colours.naming(colour)
    return lambda payload: probes.ask(out["TestUrl"], payload, key, named)


def _runs(client: Clients, place: Place, out: dict[str, str], colour: str, wanted: Served) -> bool:
    """Whether the colour answers as exactly this version and bundle, and is healthy."""
    if not colours.version(client("elbv2"), out, colour):
        return False  # nothing was ever started there
    if commands.running(client("ssm"), out[f"{colour}InstanceId"], out["DeployDocument"]):
        return False  # a dead operation's command puts another version there in a moment
    answer = _asking(client, place, out, colour)(probes.HELLO)
    told = (answer.status, answer.version, answer.digest)
    return told == (200, wanted.version, wanted.bundle_digest) and colours.healthy(
        client("elbv2"), out, colour
    )


def _start(
    client: Clients, place: Place, out: dict[str, str], colour: str, wanted: Served, op_id: str
) -> None:
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
            "CaptureUri": place.capture_uri,
            "CapturePercent": f"{place.capture_percent:g}",
            "CaptureText": place.capture_text,
            "CaptureSeconds": f"{place.capture_seconds:g}",
            "Variant": colour.lower(),
        },
        op_id,
    )


def _weights(now: stacks.Made, template: str, split: dict[str, int]) -> dict[str, str]:
    """An update of the listener asks for the weights it has; any other leaves them alone.

    Else the update, or CloudFormation's roll back of it, would move callers to the other colour.
    """
    asked = {f"{colour}Weight": str(split[colour]) for colour in colours.COLOURS}
    if not all(f"!Ref {name}" in template for name in asked):
        return {}  # made before the weights were asked for
    if _LISTENER.findall(now.template) != _LISTENER.findall(template):
        return asked
    return {name: now.parameters[name] for name in asked}


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
        "Project": place.project,
        "Environment": place.environment,
        "Classifier": place.classifier,
    }
