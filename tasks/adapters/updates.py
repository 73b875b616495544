"""Changes of a SageMaker endpoint: asked for once, waited for, believed only when seen."""

from typing import Any

from botocore.exceptions import ClientError

from tasks.adapters import variants, waits
from tasks.errors import DeployFailed, NotFound
from tasks.records import Place

_UPDATE_S = 3600
_BROKEN = frozenset({"Failed", "UpdateRollbackFailed", "OutOfService"})
_SETTLED = _BROKEN | {"InService"}


def seen(sagemaker: Any, place: Place) -> Any | None:
    """The endpoint as AWS describes it, None when there is none."""
    try:
        return sagemaker.describe_endpoint(EndpointName=place.prefix)
    except ClientError as error:
        if not variants.absent(error):
            raise
        return None


def there(sagemaker: Any, place: Place) -> Any:
    if (found := settled(sagemaker, place)) is None:
        raise NotFound(f"there is no endpoint {place.prefix}; run deploy for {place.classifier}")
    return found


def settled(sagemaker: Any, place: Place) -> Any | None:
    """The endpoint once no change of it is under way."""
    found: Any | None = None

    def look() -> bool | None:
        nonlocal found
        found = seen(sagemaker, place)
        return True if found is None or found["EndpointStatus"] in _SETTLED else None

    def told() -> str:
        return f"endpoint {place.prefix} is {found and found['EndpointStatus']}"

    waits.until(look, _UPDATE_S, told)
    return found


def create(sagemaker: Any, place: Place, config: str, op_id: str) -> None:
    """Ask for the endpoint; `arrived` tells whether it came."""
    tags = {**place.tags, "Operation": op_id}
    try:
        sagemaker.create_endpoint(
            EndpointName=place.prefix, EndpointConfigName=config, Tags=variants.tag_list(tags)
        )
    except ClientError as error:
        if not variants.exists(error):
            raise


def update(sagemaker: Any, place: Place, config: str, watched: str) -> None:
    """Blue/green: the old fleet stays for a moment, an alarm on the watched variant rolls back."""
    policy = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
            "TerminationWaitInSeconds": 5,
            "MaximumExecutionTimeoutInSeconds": 1800,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": variants.alarm(place, watched)}]},
    }
    try:
        sagemaker.update_endpoint(
            EndpointName=place.prefix,
            EndpointConfigName=config,
            RetainAllVariantProperties=True,  # autoscaled counts stay
            DeploymentConfig=policy,
        )
    except ClientError as error:
        _unless_under_way(sagemaker, place, error)


def arrived(sagemaker: Any, place: Place, config: str) -> None:
    """Wait for InService with exactly this config; AWS rolls back without a word."""
    found = there(sagemaker, place)
    if found["EndpointStatus"] != "InService":
        raise DeployFailed(
            f"endpoint {place.prefix} is {found['EndpointStatus']} on its way to {config}: "
            f"{found.get('FailureReason') or 'no reason given'}; its logs are in CloudWatch Logs "
            f"/aws/sagemaker/Endpoints/{place.prefix}"
        )
    if found["EndpointConfigName"] != config:
        raise DeployFailed(
            f"endpoint {place.prefix} is InService, but AWS rolled it back: it serves config "
            f"{found['EndpointConfigName']}, asked for was {config}: "
            f"{found.get('FailureReason') or 'no reason given'}"
        )


def weights(endpoint: Any) -> dict[str, float]:
    """The current weight of each variant."""
    return {
        one["VariantName"]: float(one.get("CurrentWeight", 0))
        for one in endpoint.get("ProductionVariants", [])
    }


def serving(endpoint: Any) -> set[str]:
    """The variants that callers reach."""
    return {name for name, weight in weights(endpoint).items() if weight > 0}


def shift(sagemaker: Any, place: Place, endpoint: Any, chosen: set[str]) -> str:
    """All traffic to the chosen variants; waits until those weights are the current ones."""
    wanted = {name: float(name in chosen) for name in weights(endpoint)}
    if weights(endpoint) == wanted:
        return _told(wanted)
    try:
        sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=place.prefix,
            DesiredWeightsAndCapacities=[
                {"VariantName": name, "DesiredWeight": weight} for name, weight in wanted.items()
            ],
        )
    except ClientError as error:
        _unless_under_way(sagemaker, place, error)
    found = there(sagemaker, place)
    if weights(found) != wanted:
        raise DeployFailed(
            f"endpoint {place.prefix} is {found['EndpointStatus']} with {_told(weights(found))}, "
            f"asked for was {_told(wanted)}: {found.get('FailureReason') or 'no reason given'}"
        )
    return _told(wanted)


def identity(sagemaker: Any, place: Place, variant: str) -> tuple[str, str]:
    """Version and bundle digest of the model behind a variant, as SageMaker started it."""
    endpoint = sagemaker.describe_endpoint(EndpointName=place.prefix)
    return variants.identity(sagemaker, endpoint["EndpointConfigName"], variant)


def made_by(sagemaker: Any, endpoint: Any, op_id: str) -> bool:
    """Whether this operation created the endpoint."""
    tags = sagemaker.list_tags(ResourceArn=endpoint["EndpointArn"])["Tags"]
    return {"Key": "Operation", "Value": op_id} in tags


def delete(sagemaker: Any, place: Place) -> None:
    """Delete an endpoint that serves nobody, and wait until it is gone."""
    try:
        sagemaker.delete_endpoint(EndpointName=place.prefix)
    except ClientError as error:
        if not variants.absent(error):
            raise
    waits.until(
        lambda: True if seen(sagemaker, place) is None else None,
        _UPDATE_S,
        lambda: f"endpoint {place.prefix} is still being deleted",
    )


def _unless_under_way(sagemaker: Any, place: Place, error: ClientError) -> None:
    """A request sent again after a lost answer meets its own change; the wait judges that."""
    found = seen(sagemaker, place)
    if found is None or found["EndpointStatus"] in _SETTLED:
        raise error


def _told(split: dict[str, float]) -> str:
    return ", ".join(f"{name} {weight:g}" for name, weight in split.items())
