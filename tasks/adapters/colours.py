"""The blue and the green side of an EC2 place: whose each is, how it is and what it gets.

A side is marked, by tags of its target group, with the operation that last took it and the version
that was started there; the marks outlive the process that set them.
"""

from typing import Any

from tasks.adapters import waits

COLOURS = ("Blue", "Green")
_HEALTHY_S = 300
_OPERATION, _VERSION = "Operation", "Version"

Outputs = dict[str, str]


def other(colour: str) -> str:
    return COLOURS[1 - COLOURS.index(colour)]


def of(elbv2: Any, out: Outputs, op_id: str) -> str:
    """Where this operation's version runs or shall run: never the colour that serves.

    A re-run after the first callers came over finds its colour by the mark, not by the weights.
    """
    marks = _marks(elbv2, out)
    for colour in COLOURS:
        if marks[colour].get(_OPERATION) == op_id:
            return colour
    weights = split(elbv2, out)
    return "Green" if weights["Blue"] >= weights["Green"] else "Blue"


def mark(elbv2: Any, out: Outputs, colour: str, op_id: str, version: str) -> None:
    """The colour is this operation's from now on."""
    tags = [{"Key": _OPERATION, "Value": op_id}, {"Key": _VERSION, "Value": version}]
    elbv2.add_tags(ResourceArns=[out[f"{colour}TargetGroupArn"]], Tags=tags)


def version(elbv2: Any, out: Outputs, colour: str) -> str:
    """The version last started there; empty when there never was one."""
    return _marks(elbv2, out)[colour].get(_VERSION, "")


def split(elbv2: Any, out: Outputs) -> dict[str, int]:
    """The weight of each colour on the public listener."""
    (listener,) = elbv2.describe_listeners(ListenerArns=[out["ListenerArn"]])["Listeners"]
    groups = listener["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]
    weights = {group["TargetGroupArn"]: int(group.get("Weight", 1)) for group in groups}
    return {colour: weights.get(out[f"{colour}TargetGroupArn"], 0) for colour in COLOURS}


def set_split(elbv2: Any, out: Outputs, weights: dict[str, int]) -> str:
    """Ask for these weights on the public listener; they count from the next request on."""
    told = {out[f"{colour}TargetGroupArn"]: weights[colour] for colour in COLOURS}
    elbv2.modify_listener(ListenerArn=out["ListenerArn"], DefaultActions=[forward(told)])
    return ", ".join(f"{colour.lower()} {weight}" for colour, weight in weights.items())


def lead_tests(elbv2: Any, out: Outputs, colour: str) -> None:
    """Who asks the test address without naming a side reaches this colour."""
    action = forward({out[f"{colour}TargetGroupArn"]: 1})
    elbv2.modify_listener(ListenerArn=out["TestListenerArn"], DefaultActions=[action])


def naming(colour: str) -> dict[str, str]:
    """The header by which the test listener's rules know the side that is asked for."""
    return {"X-Side": colour.lower()}


def dimensions(out: Outputs, colour: str) -> dict[str, str]:
    """What CloudWatch calls the colour's requests."""
    group = out[f"{colour}TargetGroupArn"].rsplit(":", 1)[1]
    return {"LoadBalancer": out["LoadBalancerFullName"], "TargetGroup": group}


def health(elbv2: Any, out: Outputs, colour: str) -> str:
    """`healthy` when every target is; else what the load balancer says of them."""
    asked = elbv2.describe_target_health(TargetGroupArn=out[f"{colour}TargetGroupArn"])
    states = [one["TargetHealth"] for one in asked["TargetHealthDescriptions"]]
    if states and all(one["State"] == "healthy" for one in states):
        return "healthy"
    told = (f"{one['State']} {one.get('Description', '')}".strip() for one in states)
    return "; ".join(told) or "without a target"


def healthy(elbv2: Any, out: Outputs, colour: str) -> bool:
    return health(elbv2, out, colour) == "healthy"


def wait_healthy(elbv2: Any, out: Outputs, colour: str) -> None:
    told = ""

    def look() -> bool | None:
        nonlocal told
        told = health(elbv2, out, colour)
        return True if told == "healthy" else None

    waits.until(look, _HEALTHY_S, lambda: f"{colour.lower()} is {told}")


def forward(weights: dict[str, int]) -> dict[str, Any]:
    groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()]
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}


def _marks(elbv2: Any, out: Outputs) -> dict[str, dict[str, str]]:
    arns = {out[f"{colour}TargetGroupArn"]: colour for colour in COLOURS}
    told = elbv2.describe_tags(ResourceArns=list(arns))["TagDescriptions"]
    return {
        arns[one["ResourceArn"]]: {tag["Key"]: tag["Value"] for tag in one["Tags"]} for one in told
    }
