"""What AWS refuses of endpoints without instances."""

from collections.abc import Sequence
from typing import Any

from infra.sandbox.extension import Invalid

_MOST = 200


def is_serverless(variants: Sequence[dict[str, Any]]) -> bool:
    return any("ServerlessConfig" in variant for variant in variants)


def at_once(variant: dict[str, Any]) -> int:
    """How many requests the variant takes at a time; 0: as many as come."""
    return int(variant.get("ServerlessConfig", {}).get("MaxConcurrency", 0))


def check_config(
    variants: Sequence[dict[str, Any]], data_capture: Any | None, shadows: Any | None
) -> None:
    """Invalid for a serverless configuration with what only instances have."""
    if not is_serverless(variants):
        return
    if len(variants) > 1 or shadows:
        raise Invalid("Serverless endpoints do not support more than one production variant.")
    if data_capture:
        raise Invalid("DataCaptureConfig is not supported for serverless endpoints.")
    only = variants[0]
    if extra := sorted({"InstanceType", "InitialInstanceCount"} & only.keys()):
        raise Invalid(f"{extra[0]} can not be specified together with ServerlessConfig.")
    if not 1 <= (most := at_once(only)) <= _MOST:
        raise Invalid(
            f"Value '{most}' at 'maxConcurrency' failed to satisfy constraint: Member must have"
            f" value between 1 and {_MOST}"
        )


def check_update(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> None:
    """Invalid for a real-time endpoint that shall become a serverless one."""
    if is_serverless(new) and not is_serverless(old):
        raise Invalid("An instance-based endpoint can not be updated to a serverless one.")
