"""Changes of a SageMaker endpoint: asked for once, waited for, believed only when seen."""

from typing import Any

from botocore.exceptions import ClientError

from tasks.adapters import variants, waits
from tasks.errors import DeployFailed, NotFound, WaitTimeout
from tasks.records import Place

_UPDATE_S = 3600
BROKEN = frozenset({"Failed", "UpdateRollbackFailed", "OutOfService"})
_SETTLED = BROKEN | {"InService"}


def seen(sagemaker: Any, place: Place) -> Any | None:
    """The endpoint as AWS describes it, None when there is none."""
    try:
        return sagemaker.describe_endpoint(EndpointName=place.endpoint)
    except ClientError as error:
        if not variants.absent(error):
            raise
        return None


def there(sagemaker: Any, place: Place) -> Any:
    if (found := settled(sagemaker, place)) is None:
        raise NotFound(f"there is no endpoint {place.endpoint}; run deploy for {place.classifier}")
    return found


def settled(sagemaker: Any, place: Place) -> Any | None:
    """The endpoint once no change of it is under way; DeployFailed when one does not end."""
    found: Any | None = None

    def look() -> bool | None:
        nonlocal found
        found = seen(sagemaker, place)
        return True if found is None or found["EndpointStatus"] in _SETTLED else None

    def told() -> str:
        return f"endpoint {place.endpoint} is still {found and found['EndpointStatus']}"

    try:
        waits.until(look, _UPDATE_S, told)
    except WaitTimeout as error:
        raise DeployFailed(f"{error}; {_next_step(place)}") from error
    return found


def usable(sagemaker: Any, place: Place) -> Any | None:
    """The settled endpoint; one that has failed is deleted first, as AWS updates no such one."""
    found = settled(sagemaker, place)
    if found is None or found["EndpointStatus"] != "Failed":
        return found
    delete(sagemaker, place)
    return None


def check(place: Place, endpoint: Any, what: str = "") -> None:
    """DeployFailed unless the endpoint can be changed: what it serves is left as it is."""
    if endpoint["EndpointStatus"] != "InService":
        raise DeployFailed(
            f"endpoint {place.endpoint} is {endpoint['EndpointStatus']}{what}: "
            f"{endpoint.get('FailureReason') or 'no reason given'}; {_next_step(place)}"
        )


def create(sagemaker: Any, place: Place, config: str, op_id: str) -> None:
    """Ask for the endpoint; `arrived` tells whether it came."""
    marked = variants.tag_list({**place.tags, "Operation": op_id})
    try:
        sagemaker.create_endpoint(
            EndpointName=place.endpoint, EndpointConfigName=config, Tags=marked
        )
    except ClientError as error:
        if not variants.exists(error):
            raise


def update(sagemaker: Any, place: Place, config: str, watched: str = "") -> None:
    """Blue/green: the old fleet stays for a moment, an alarm on the watched variant rolls back.

    Without a watched variant only AWS's own health check stands between the two.
    """
    guarded = {
        "RetainAllVariantProperties": True,  # autoscaled counts stay
        "DeploymentConfig": {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
                "TerminationWaitInSeconds": 5,
                "MaximumExecutionTimeoutInSeconds": 1800,
            },
            "AutoRollbackConfiguration": {
                "Alarms": [{"AlarmName": variants.alarm(place, watched)}]
            },
        },
    }
    try:
        sagemaker.update_endpoint(
            EndpointName=place.endpoint,
            EndpointConfigName=config,
            **(guarded if watched else {}),
        )
    except ClientError as error:
        _unless_under_way(sagemaker, place, error)


def arrived(sagemaker: Any, place: Place, config: str) -> None:
    """Wait for InService with exactly this config; AWS rolls back without a word."""
    found = there(sagemaker, place)
    check(place, found, f" on its way to {config}")
    if found["EndpointConfigName"] != config:
        raise DeployFailed(
            f"endpoint {place.endpoint} is InService, but AWS rolled it back: it serves config "
            f"{found['EndpointConfigName']}, asked for was {config}: "
            f"{found.get('FailureReason') or 'no reason given'}"
        )


def weights(endpoint: Any) -> dict[str, float]:
    """The current weight of each variant."""
    return {
        one["VariantName"]: float(one.get("CurrentWeight", 0))
        for one in endpoint.get("ProductionVariants", [])
    }


def instances(endpoint: Any) -> dict[str, int]:
    """How many instances each variant has now."""
    return {
        one["VariantName"]: int(one.get("CurrentInstanceCount", 0))
        for one in endpoint.get("ProductionVariants", [])
    }


def serving(endpoint: Any) -> set[str]:
    """The variants that callers reach."""
    return {name for name, weight in weights(endpoint).items() if weight > 0}


def shift(sagemaker: Any, place: Place, endpoint: Any, percents: dict[str, int]) -> str:
    """Give each variant its percent of the callers; believed when that is what is so."""
    wanted = {name: float(percents.get(name, 0)) for name in weights(endpoint)}
    if not _arrived(endpoint) or _shares(endpoint) != wanted:
        asked = [{"VariantName": name, "DesiredWeight": one} for name, one in wanted.items()]
        endpoint = _change(sagemaker, place, asked)
    if not _arrived(endpoint) or _shares(endpoint) != wanted:
        raise DeployFailed(
            f"endpoint {place.endpoint} is {endpoint['EndpointStatus']} with "
            f"{_told(_shares(endpoint))}, asked for was {_told(wanted)}: "
            f"{endpoint.get('FailureReason') or 'no reason given'}"
        )
    return _told(wanted)


def grow(sagemaker: Any, place: Place, endpoint: Any, variant: str, count: int) -> str:
    """At least so many instances for the variant; its callers stay."""
    asked = [{"VariantName": variant, "DesiredInstanceCount": count}]
    for _ in range(2):  # autoscaling may have been at it: what was under way was not ours then
        if instances(endpoint)[variant] < count:
            endpoint = _change(sagemaker, place, asked)
    if (now := instances(endpoint)[variant]) < count:
        raise DeployFailed(
            f"variant {variant} of {place.endpoint} has {now} instances, asked for were {count}: "
            f"{endpoint.get('FailureReason') or 'no reason given'}"
        )
    return f"{variant} has {now} instances"


def identity(sagemaker: Any, place: Place, variant: str) -> tuple[str, str]:
    """Version and bundle digest of the model behind a variant, as SageMaker started it."""
    endpoint = sagemaker.describe_endpoint(EndpointName=place.endpoint)
    return variants.identity(sagemaker, endpoint["EndpointConfigName"], variant)


def made_by(sagemaker: Any, endpoint: Any, op_id: str) -> bool:
    """Whether this operation created the endpoint."""
    return tags(sagemaker, endpoint).get("Operation") == op_id


def tags(sagemaker: Any, endpoint: Any) -> dict[str, str]:
    """The endpoint's tags."""
    found = sagemaker.list_tags(ResourceArn=endpoint["EndpointArn"])["Tags"]
    return {one["Key"]: one["Value"] for one in found}


def delete(sagemaker: Any, place: Place) -> None:
    """Delete an endpoint that serves nobody, and wait until it is gone."""
    try:
        sagemaker.delete_endpoint(EndpointName=place.endpoint)
    except ClientError as error:
        if not variants.absent(error):
            raise
    waits.until(
        lambda: True if seen(sagemaker, place) is None else None,
        _UPDATE_S,
        lambda: f"endpoint {place.endpoint} is still being deleted",
    )


def _change(sagemaker: Any, place: Place, asked: list[dict[str, Any]]) -> Any:
    """Ask for weights or counts; the endpoint once it has settled."""
    try:
        sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=place.endpoint, DesiredWeightsAndCapacities=asked
        )
    except ClientError as error:
        _unless_under_way(sagemaker, place, error)
    return there(sagemaker, place)


def _arrived(endpoint: Any) -> bool:
    """Whether AWS has done what it was asked for, not only taken note of it."""
    return all(
        one.get("CurrentWeight") == one.get("DesiredWeight")
        for one in endpoint.get("ProductionVariants", [])
    )


def _shares(endpoint: Any) -> dict[str, float]:
    """Percent of the callers that each variant gets."""
    now = weights(endpoint)
    total = sum(now.values())
    return {name: round(100 * one / total, 6) if total else 0.0 for name, one in now.items()}


def _unless_under_way(sagemaker: Any, place: Place, error: ClientError) -> None:
    """A request sent again after a lost answer meets its own change; the wait judges that."""
    found = seen(sagemaker, place)
    if found is None or found["EndpointStatus"] in _SETTLED:
        raise error


def _next_step(place: Place) -> str:
    return (
        "its logs are in CloudWatch Logs "
        f"/aws/sagemaker/Endpoints/{place.endpoint}; see what it serves with `aws sagemaker "
        f"describe-endpoint --endpoint-name {place.endpoint}`, then start deploy again"
    )


def _told(split: dict[str, float]) -> str:
    return ", ".join(f"{name} {weight:g}" for name, weight in split.items())
