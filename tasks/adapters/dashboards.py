"""The stack of alarms and dashboard that watches what serves in a place."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.adapters import stacks, updates
from tasks.errors import NotFound
from tasks.records import Place

Clients = Callable[[str], Any]


def ensure(client: Clients, place: Place, thresholds: dict[str, str]) -> str:
    """Alarms and dashboard watch what serves now, by these thresholds; the dashboard's address.

    One stack for each place: a classifier that moves to another target takes its alarms along.
    NotFound when nothing serves.
    """
    kind, serving = ("ec2", _balanced) if place.target == "ec2" else ("sagemaker", _invoked)
    template = Path(place.template).with_name(f"alarms-{kind}.yaml").read_text("utf-8")
    parameters = {
        "Project": place.project,
        "Environment": place.environment,
        "Classifier": place.classifier,
        "AlertTopicArn": place.topic_arn,
        **serving(client, place),
        **thresholds,
    }
    token = hashlib.sha256(json.dumps([template, parameters], sort_keys=True).encode()).hexdigest()
    name = f"{place.prefix}-alarms"
    made = stacks.ensure(client("cloudformation"), name, template, parameters, place.tags, token)
    return made["DashboardUrl"]


def _balanced(client: Clients, place: Place) -> dict[str, str]:
    """Both sides, as CloudWatch calls them: they change places with every release."""
    out = stacks.outputs(client("cloudformation"), f"{place.prefix}-ec2")
    if out is None:
        raise NotFound(f"there is no stack {place.prefix}-ec2; run deploy for {place.classifier}")
    return {
        "LoadBalancer": out["LoadBalancerFullName"],
        "BlueTargetGroup": out["BlueTargetGroupArn"].rsplit(":", 1)[1],
        "GreenTargetGroup": out["GreenTargetGroupArn"].rsplit(":", 1)[1],
        "BlueInstanceId": out["BlueInstanceId"],
        "GreenInstanceId": out["GreenInstanceId"],
    }


def _invoked(client: Clients, place: Place) -> dict[str, str]:
    """The variant with the most callers."""
    weights = updates.weights(updates.there(client("sagemaker"), place))
    return {
        "EndpointName": place.endpoint,
        "VariantName": max(weights, key=lambda one: weights[one]),
    }
