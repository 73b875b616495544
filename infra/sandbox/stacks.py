"""CloudFormation: what moto's resources lack so that the stacks of infra/cloudformation are whole.

Not covered: an update that would replace an instance or a target group leaves it as it is.
"""

import copy
import copyreg
import json
from typing import Any

from cryptography.hazmat.bindings import _rust
from cryptography.hazmat.primitives import serialization
from moto.cloudformation import parsing
from moto.cloudformation.models import Stack
from moto.cloudwatch.models import Alarm, Metric, MetricDataQuery, MetricStat, cloudwatch_backends
from moto.core.common_models import CloudFormationModel
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.elbv2.models import (
    ELBv2Backend,
    FakeListener,
    FakeLoadBalancer,
    FakeTargetGroup,
    elbv2_backends,
)
from moto.kms.models import Key
from moto.ssm.models import Document

from infra.sandbox import templates
from infra.sandbox.world import World


def install(world: World) -> None:
    """Extend the classes; moto finds StackAlarm by itself as a subclass of CloudFormationModel."""
    for kind, prepare in (
        (Key, _kms_tags),
        (Document, _document_text),
        (Instance, _without_groups),
    ):
        _prepared(kind, prepare)
    _afterwards(Instance, _instance_details)
    _afterwards(FakeTargetGroup, _register_targets)
    _afterwards(FakeLoadBalancer, _tag_balancer)
    _afterwards(FakeListener, _tag_listener)
    _attributes(FakeLoadBalancer, {"LoadBalancerFullName": _full_name, "LoadBalancerArn": _arn})
    _attributes(FakeTargetGroup, {"TargetGroupFullName": _full_name, "TargetGroupArn": _arn})
    _attributes(LaunchTemplate, {"LatestVersionNumber": lambda one: one.latest_version_number})
    _attributes(FakeListener, {"ListenerArn": _arn})
    FakeListener.delete = _delete_listener
    FakeTargetGroup.delete = _delete_target_group
    ELBv2Backend.convert_and_validate_properties = _actions
    _keep_what_cannot_change()
    Stack.parameter_list = _as_given(Stack.parameter_list)
    templates.install()
    # A KMS key of a stack is part of the saved state, and moto's keys hold such an object.
    copyreg.pickle(_rust.openssl.rsa.RSAPrivateKey, _key_bytes)


class StackAlarm(CloudFormationModel):
    """AWS::CloudWatch::Alarm."""

    def __init__(self, alarm: Alarm) -> None:
        self.alarm = alarm

    @property
    def physical_resource_id(self) -> str:
        return str(self.alarm.name)

    @staticmethod
    def cloudformation_name_type() -> str:
        return "AlarmName"

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::CloudWatch::Alarm"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr == "Arn"

    def get_cfn_attribute(self, attribute_name: str) -> str:
        return str(self.alarm.alarm_arn)

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **kwargs: Any,
    ) -> "StackAlarm":
        asked = cloudformation_json["Properties"]
        backend = cloudwatch_backends[account_id][region_name]
        alarm = backend.put_metric_alarm(
            name=resource_name,
            namespace=asked.get("Namespace"),
            metric_name=asked.get("MetricName"),
            metric_data_queries=[_query(one) for one in asked.get("Metrics", [])],
            comparison_operator=asked["ComparisonOperator"],
            evaluation_periods=int(asked["EvaluationPeriods"]),
            datapoints_to_alarm=asked.get("DatapointsToAlarm"),
            period=int(asked.get("Period", 60)),
            threshold=float(asked["Threshold"]),
            statistic=asked.get("Statistic"),
            extended_statistic=asked.get("ExtendedStatistic"),
            description=asked.get("AlarmDescription", ""),
            dimensions=asked.get("Dimensions", []),
            alarm_actions=asked.get("AlarmActions", []),
            ok_actions=asked.get("OKActions", []),
            insufficient_data_actions=asked.get("InsufficientDataActions", []),
            treat_missing_data=asked.get("TreatMissingData"),
            tags=asked.get("Tags"),
        )
        return cls(alarm)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> "StackAlarm":
        return cls.create_from_cloudformation_json(
            original_resource.physical_resource_id, cloudformation_json, account_id, region_name
        )

    def delete(self, account_id: str, region_name: str) -> None:
        cloudwatch_backends[account_id][region_name].delete_alarms([self.alarm.name])


def _as_given(told: property) -> property:
    """Parameters as they were given: of a list and an SSM name moto tells what it made of them."""

    def tell(stack: Any) -> list[dict[str, Any]]:
        slots, found = stack.template_dict.get("Parameters", {}), told.__get__(stack)
        for one in found:
            key, kind = one["ParameterKey"], slots[one["ParameterKey"]]["Type"]
            if "List" in kind or kind.startswith("AWS::SSM::Parameter"):
                given = stack.resource_map.input_parameters
                one["ParameterValue"] = given.get(key, slots[key].get("Default"))
        return list(found)

    return property(tell)


def _query(asked: dict[str, Any]) -> MetricDataQuery:
    stat = None
    if told := asked.get("MetricStat"):
        metric = told["Metric"]
        stat = MetricStat(
            Metric(metric["MetricName"], metric["Namespace"], metric.get("Dimensions", [])),
            told["Period"],
            told["Stat"],
            told.get("Unit"),
        )
    returned = str(asked.get("ReturnData", True)).lower()
    return MetricDataQuery(
        asked["Id"], asked.get("Label", ""), asked.get("Period"), returned,
        asked.get("Expression"), stat,
    )  # fmt: skip


def _prepared(kind: Any, prepare: Any) -> None:
    """Let `prepare` mend the properties before moto creates the resource."""
    original = kind.create_from_cloudformation_json.__func__

    def create(cls: Any, name: str, asked: Any, *rest: Any, **more: Any) -> Any:
        mended = {**asked, "Properties": prepare(dict(asked["Properties"]))}
        return original(cls, name, mended, *rest, **more)

    kind.create_from_cloudformation_json = classmethod(create)


def _afterwards(kind: Any, finish: Any) -> None:
    """Let `finish(resource, properties, account, region)` do what moto left out."""
    original = kind.create_from_cloudformation_json.__func__

    def create(cls: Any, /, name: str, asked: Any, account_id: str, region_name: str, **more: Any):  # type: ignore[no-untyped-def]
        made = original(cls, name, asked, account_id, region_name, **more)
        finish(made, asked["Properties"], account_id, region_name)
        return made

    kind.create_from_cloudformation_json = classmethod(create)


def _attributes(kind: Any, added: dict[str, Any]) -> None:
    has, get = kind.has_cfn_attr.__func__, getattr(kind, "get_cfn_attribute", None)
    kind.has_cfn_attr = classmethod(lambda cls, attr: attr in added or has(cls, attr))
    kind.get_cfn_attribute = lambda self, name: (
        added[name](self) if name in added or get is None else get(self, name)
    )


def _arn(thing: Any) -> str:
    return str(thing.arn)


def _full_name(thing: Any) -> str:
    """What CloudWatch calls it: app/NAME/ID, and targetgroup/NAME/ID."""
    return str(thing.arn).rsplit(":", 1)[1].removeprefix("loadbalancer/")


def _kms_tags(asked: dict[str, Any]) -> dict[str, Any]:
    tags = asked.get("Tags", [])
    return {**asked, "Tags": [{"TagKey": t["Key"], "TagValue": t["Value"]} for t in tags]}


def _document_text(asked: dict[str, Any]) -> dict[str, Any]:
    """A template holds the content as an object; moto wants its text."""
    if isinstance(asked["Content"], str):
        return asked
    return {**asked, "Content": json.dumps(asked["Content"]), "DocumentFormat": "JSON"}


def _without_groups(asked: dict[str, Any]) -> dict[str, Any]:
    """Moto takes group names where the template has ids; `_instance_details` puts them on."""
    return {key: value for key, value in asked.items() if key != "SecurityGroups"}


def _instance_details(made: Any, asked: Any, account: str, region: str) -> None:
    if groups := asked.get("SecurityGroupIds"):
        backend = ec2_backends[account][region]
        made.security_groups = [backend.get_security_group_from_id(one) for one in groups]
        for nic in made.nics.values():
            nic._group_set = made.security_groups


def _register_targets(made: Any, asked: Any, account: str, region: str) -> None:
    made.register([dict(target) for target in asked.get("Targets", [])])
    told = {one["Key"]: one["Value"] for one in asked.get("TargetGroupAttributes", [])}
    made.attributes.update(told)
    _tag(made, asked, account, region)


def _tag_balancer(made: Any, asked: Any, account: str, region: str) -> None:
    made.attrs.update({o["Key"]: o["Value"] for o in asked.get("LoadBalancerAttributes", [])})
    made.activate()
    _tag(made, asked, account, region)


def _tag_listener(made: Any, asked: Any, account: str, region: str) -> None:
    _tag(made, asked, account, region)


def _tag(made: Any, asked: Any, account: str, region: str) -> None:
    if tags := asked.get("Tags"):
        elbv2_backends[account][region].tagging_service.tag_resource(made.arn, tags)


def _delete_listener(self: Any, account_id: str, region_name: str) -> None:
    for balancer in elbv2_backends[account_id][region_name].load_balancers.values():
        balancer.listeners.pop(self.arn, None)


def _delete_target_group(self: Any, account_id: str, region_name: str) -> None:
    elbv2_backends[account_id][region_name].target_groups.pop(self.arn, None)


def _actions(self: Any, properties: dict[str, Any]) -> list[dict[str, Any]]:
    """Moto knows no ForwardConfig in a template."""
    actions = copy.deepcopy(properties["DefaultActions"])
    for action in actions:
        for group in action.get("ForwardConfig", {}).get("TargetGroups", []):
            group["Weight"] = int(group.get("Weight", 1))
    return list(actions)


def _key_bytes(key: Any) -> Any:
    told = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return _key, (told,)


def _key(told: bytes) -> Any:
    return serialization.load_der_private_key(told, None)


def _keep_what_cannot_change() -> None:
    """Moto would forget a resource that it cannot update."""
    original = parsing.parse_and_update_resource

    def update(logical_id: str, asked: Any, resources: Any, **where: Any) -> Any:
        changed = original(logical_id, asked, resources, **where)
        return resources[logical_id] if changed is None else changed

    parsing.parse_and_update_resource = update
