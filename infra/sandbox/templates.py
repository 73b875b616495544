"""What CloudFormation says about a template: its parameters, and whether an update changes any."""

from typing import Any

import yaml
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import CloudFormationBackend
from moto.cloudformation.responses import CloudFormationResponse
from moto.cloudformation.utils import yaml_tag_constructor
from moto.core.responses import ActionResult

_NAMED = {"AWS::IAM::Role", "AWS::IAM::InstanceProfile", "AWS::IAM::ManagedPolicy"}


class _Loader(yaml.SafeLoader):
    """Reads !Ref and the other short forms too; as safe as the SafeLoader."""


_Loader.add_multi_constructor("", yaml_tag_constructor)


def install() -> None:
    validate = CloudFormationResponse.validate_template

    def validate_template(self: Any) -> ActionResult:
        told = validate(self).result
        body = self._get_param("TemplateBody")
        return ActionResult({**told, **_summary(read(body))} if body else told)

    CloudFormationResponse.validate_template = validate_template
    CloudFormationResponse._validate_different_update = _refuse_no_update
    CloudFormationBackend._resolve_update_parameters = _with_previous


def read(body: str) -> dict[str, Any]:
    """The template, YAML or JSON."""
    return dict(yaml.load(body, Loader=_Loader))  # nosec B506


def _summary(template: dict[str, Any]) -> dict[str, Any]:
    """What ValidateTemplate tells besides the description; moto tells nothing."""
    declared = [
        {
            "ParameterKey": name,
            "Description": shape.get("Description", ""),
            "NoEcho": bool(shape.get("NoEcho", False)),
            **({"DefaultValue": str(shape["Default"])} if "Default" in shape else {}),
        }
        for name, shape in template.get("Parameters", {}).items()
    ]
    kinds = {one["Type"] for one in template["Resources"].values()}
    return {
        "Parameters": declared,
        "Capabilities": ["CAPABILITY_NAMED_IAM"] if kinds & _NAMED else [],
    }


def _refuse_no_update(self: Any, asked: list[dict[str, Any]], body: str, stack: Any) -> None:
    """Moto compares what was asked with the resolved values, defaults included: never the same."""
    shapes = read(body).get("Parameters", {})
    defaults = {name: str(one["Default"]) for name, one in shapes.items() if "Default" in one}
    new = _with_previous(self, stack, asked)
    tags = {one["Key"]: one["Value"] for one in self._get_param("Tags", [])}
    if (
        body == stack.template
        and {**defaults, **new} == {**defaults, **(stack.parameters or {})}
        and tags in ({}, stack.tags)
    ):
        raise ValidationError(stack.name, message="No updates are to be performed.")


def _with_previous(self: Any, instance: Any, incoming_params: Any) -> dict[str, str]:
    """The values of an update; a previous value that was a default is the default again."""
    before = instance.parameters or {}
    values = {}
    for one in incoming_params:
        name = one["ParameterKey"]
        if "ParameterValue" in one:
            values[name] = one["ParameterValue"]
        elif name in before:
            values[name] = before[name]
    return values
