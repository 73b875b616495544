"""Autoscaling of SageMaker variants between 1 and 5 instances."""

from typing import Any

_DIMENSION = "sagemaker:variant:DesiredInstanceCount"
MAXIMUM = 5
_PER_INSTANCE_AND_MINUTE = 600.0


def ensure(autoscaling: Any, endpoint: str, variant: str) -> None:
    """The variant follows its load; asking twice is asking once."""
    target = _target(endpoint, variant)
    autoscaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=MAXIMUM)
    autoscaling.put_scaling_policy(
        **target,
        PolicyName=f"{endpoint}-{variant}-load",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": _PER_INSTANCE_AND_MINUTE,
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
            },
            "ScaleInCooldown": 300,
            "ScaleOutCooldown": 60,
        },
    )


def remove(autoscaling: Any, endpoint: str, variant: str) -> None:
    """The variant is no longer scaled; a variant with a target cannot be taken away cleanly."""
    target = _target(endpoint, variant)
    known = autoscaling.describe_scalable_targets(
        ServiceNamespace=target["ServiceNamespace"],
        ResourceIds=[target["ResourceId"]],
        ScalableDimension=_DIMENSION,
    )["ScalableTargets"]
    if known:
        autoscaling.deregister_scalable_target(**target)


def _target(endpoint: str, variant: str) -> dict[str, str]:
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/{variant}",
        "ScalableDimension": _DIMENSION,
    }
