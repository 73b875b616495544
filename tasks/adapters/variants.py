"""SageMaker models, endpoint configs and alarms: what an endpoint is made of. Names are hashes."""

import hashlib
import json
from typing import Any

from botocore.exceptions import ClientError

from tasks.errors import Conflict
from tasks.records import Place, Served


def name(wanted: Served) -> str:
    """The variant that serves this version."""
    return f"v{wanted.version}"


def model_name(place: Place, wanted: Served) -> str:
    return _named(place, "model", _container(place, wanted), place.role_arn)


def ensure_model(sagemaker: Any, place: Place, wanted: Served) -> str:
    """The SageMaker model of this bundle in this image."""
    model, container = model_name(place, wanted), _container(place, wanted)
    if _described(sagemaker.describe_model, ModelName=model) is None:
        try:
            sagemaker.create_model(
                ModelName=model,
                PrimaryContainer=container,
                ExecutionRoleArn=place.role_arn,
                Tags=tag_list(place.tags),
            )
        except ClientError as error:
            if not exists(error):
                raise
    found = _described(sagemaker.describe_model, ModelName=model)
    there = {} if found is None else found["PrimaryContainer"]
    _same(f"model {model}", {key: there.get(key) for key in container}, container)
    return model


def spec(place: Place, wanted: Served, weight: float, instances: int = 1) -> dict[str, Any]:
    """The production variant of this version."""
    return {
        "VariantName": name(wanted),
        "ModelName": model_name(place, wanted),
        "InstanceType": place.instance_type,
        "InitialInstanceCount": instances,
        "InitialVariantWeight": float(weight),
    }


def serverless_spec(place: Place, wanted: Served) -> dict[str, Any]:
    """The same without instances: AWS starts it when it is asked, and takes memory and slots."""
    return {
        "VariantName": name(wanted),
        "ModelName": model_name(place, wanted),
        "ServerlessConfig": {
            "MemorySizeInMB": place.memory_mb,
            "MaxConcurrency": place.max_concurrency,
        },
        "InitialVariantWeight": 1.0,
    }


def specs(sagemaker: Any, config: str, kept: set[str]) -> list[dict[str, Any]]:
    """Those variants of a config, at full weight."""
    found = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    keys = ("VariantName", "ModelName", "InstanceType", "InitialInstanceCount")
    return [
        {**{key: one[key] for key in keys}, "InitialVariantWeight": 1.0}
        for one in found
        if one["VariantName"] in kept
    ]


def config_name(place: Place, wanted: list[dict[str, Any]]) -> str:
    return _named(place, "config", wanted)


def known(sagemaker: Any, config: str) -> bool:
    """Whether there is a config of this name; AWS keeps it and its models until told otherwise."""
    return _described(sagemaker.describe_endpoint_config, EndpointConfigName=config) is not None


def ensure_config(sagemaker: Any, place: Place, wanted: list[dict[str, Any]]) -> str:
    """The endpoint config of exactly these variants. Configs are never changed or deleted here."""
    config = config_name(place, wanted)
    if _described(sagemaker.describe_endpoint_config, EndpointConfigName=config) is None:
        try:
            sagemaker.create_endpoint_config(
                EndpointConfigName=config, ProductionVariants=wanted, Tags=tag_list(place.tags)
            )
        except ClientError as error:
            if not exists(error):
                raise
    found = _described(sagemaker.describe_endpoint_config, EndpointConfigName=config)
    there = [] if found is None else found["ProductionVariants"]
    told = [{key: one.get(key) for key in wanted[0]} for one in there]
    _same(f"endpoint config {config}", told, wanted)
    return config


def alarm(place: Place, variant: str) -> str:
    return f"{place.prefix}-{variant}-5xx"


def ensure_alarm(cloudwatch: Any, place: Place, variant: str) -> str:
    """Red when the variant answers 5xx. A staged variant has no traffic, so silence is not red."""
    cloudwatch.put_metric_alarm(
        AlarmName=alarm(place, variant),
        AlarmDescription=f"{variant} of {place.prefix} answers 5xx",
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=[
            {"Name": "EndpointName", "Value": place.prefix},
            {"Name": "VariantName", "Value": variant},
        ],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
        AlarmActions=[place.topic_arn],
        Tags=tag_list(place.tags),
    )
    return alarm(place, variant)


def identity(sagemaker: Any, config: str, variant: str) -> tuple[str, str]:
    """Version and bundle digest of the variant's model, as SageMaker started it.

    Empty when the config has no such variant: an endpoint on its way to another one tells the old.
    """
    if (found := _variant(sagemaker, config, variant)) is None:
        return "", ""
    model = found["ModelName"]
    environment = sagemaker.describe_model(ModelName=model)["PrimaryContainer"]["Environment"]
    return environment["MODEL_VERSION"], environment["BUNDLE_DIGEST"]


def instances(sagemaker: Any, config: str, variant: str) -> int:
    """How many instances the variant began with."""
    found = _variant(sagemaker, config, variant)
    assert found is not None  # it is asked of a variant that serves
    return int(found["InitialInstanceCount"])


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def exists(error: ClientError) -> bool:
    """SageMaker says that a name is taken in more than one way."""
    told = error.response["Error"]
    return told["Code"] == "ResourceInUse" or "already exist" in told["Message"].lower()


def absent(error: ClientError) -> bool:
    """SageMaker says ValidationException for a name it does not know."""
    told = error.response["Error"]
    return told["Code"] in {"ValidationException", "ResourceNotFound"} and (
        "could not find" in told["Message"].lower() or "not found" in told["Message"].lower()
    )


def _variant(sagemaker: Any, config: str, variant: str) -> Any | None:
    found = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    return next((one for one in found if one["VariantName"] == variant), None)


def _container(place: Place, wanted: Served) -> dict[str, Any]:
    return {
        "Image": place.image,
        "ModelDataUrl": wanted.bundle_uri,
        "Environment": {
            "MODEL_NAME": place.classifier,
            "MODEL_VERSION": wanted.version,
            "BUNDLE_DIGEST": wanted.bundle_digest,
            "MAX_CHARS": str(place.max_chars),
            **_capture(place, wanted),
        },
    }


def _capture(place: Place, wanted: Served) -> dict[str, str]:
    """Where and how the variant logs its answers; nothing when it does not."""
    if not place.capture_uri:
        return {}
    return {
        "CAPTURE_URI": place.capture_uri,
        "CAPTURE_PERCENT": f"{place.capture_percent:g}",
        "CAPTURE_TEXT": place.capture_text,
        "CAPTURE_SECONDS": f"{place.capture_seconds:g}",
        "VARIANT": name(wanted),
    }


def _named(place: Place, kind: str, *inputs: object) -> str:
    told = json.dumps(inputs, sort_keys=True).encode()
    return f"{place.prefix}-{kind}-{hashlib.sha256(told).hexdigest()[:12]}"


def _described(describe: Any, **key: str) -> Any | None:
    try:
        return describe(**key)
    except ClientError as error:
        if not absent(error):
            raise
        return None


def _same(what: str, there: object, wanted: object) -> None:
    if there != wanted:
        raise Conflict(f"{what} is there with other inputs: {there}, asked for were {wanted}")
