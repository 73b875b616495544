"""CloudFormation stacks: made when absent, brought up to date when their template changed."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tasks.adapters import waits
from tasks.errors import DeployFailed

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

_WAIT_S = 1800
_WHOLE = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


def ensure(
    cloudformation: "CloudFormationClient",
    name: str,
    template: str,
    parameters: dict[str, str],
    tags: dict[str, str],
    token: str,
) -> dict[str, str]:
    """The outputs of the stack; it is there, whole, made from `template` with `parameters`.

    A stack that somebody else is changing is waited for. DeployFailed tells why CloudFormation
    gave up, from the stack's own events.
    """
    asked: dict[str, Any] = {
        "StackName": name,
        "TemplateBody": template,
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ],
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        "ClientRequestToken": token,
    }
    if _describe(cloudformation, name) is None:
        # A lost answer or another run: the wait below judges what is there.
        with suppress(cloudformation.exceptions.AlreadyExistsException):
            cloudformation.create_stack(**asked, OnFailure="ROLLBACK")
    _settled(cloudformation, name, {*_WHOLE, "UPDATE_ROLLBACK_COMPLETE"})
    same = _template(cloudformation, name).strip() == template.strip()
    if not same or not parameters.items() <= _parameters(cloudformation, name).items():
        _update(cloudformation, asked)
        _settled(cloudformation, name, _WHOLE)
    found = outputs(cloudformation, name)
    assert found is not None  # _settled saw it
    return found


def outputs(cloudformation: "CloudFormationClient", name: str) -> dict[str, str] | None:
    """The stack's outputs, None when there is no such stack."""
    if (stack := _describe(cloudformation, name)) is None:
        return None
    return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}


def _update(cloudformation: "CloudFormationClient", asked: dict[str, Any]) -> None:
    try:
        cloudformation.update_stack(**asked)
    except ClientError as error:
        if "No updates are to be performed" not in error.response["Error"]["Message"]:
            raise


def _parameters(cloudformation: "CloudFormationClient", name: str) -> dict[str, str]:
    stack = _describe(cloudformation, name) or {}
    return {one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])}


def _template(cloudformation: "CloudFormationClient", name: str) -> str:
    """The template as it was given; ours are YAML, botocore would have parsed JSON."""
    return str(cloudformation.get_template(StackName=name)["TemplateBody"])


def _describe(cloudformation: "CloudFormationClient", name: str) -> Any | None:
    try:
        found = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" not in error.response["Error"]["Message"]:
            raise
        return None
    alive = [stack for stack in found if stack["StackStatus"] != "DELETE_COMPLETE"]
    return alive[0] if alive else None


def _settled(cloudformation: "CloudFormationClient", name: str, good: set[str]) -> None:
    """Wait until the stack is whole; DeployFailed when it will not become so by itself."""
    seen = ""

    def look() -> str | None:
        nonlocal seen
        stack = _describe(cloudformation, name)
        seen = stack["StackStatus"] if stack else "absent"
        return None if seen.endswith("_IN_PROGRESS") else seen

    status = waits.until(look, _WAIT_S, lambda: f"stack {name} is {seen}")
    if status not in good:
        raise DeployFailed(
            f"stack {name} is {status}: {_reasons(cloudformation, name)}; mend it or run "
            f"`aws cloudformation delete-stack --stack-name {name}` when nothing serves from it"
        )


def _reasons(cloudformation: "CloudFormationClient", name: str) -> str:
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    failed = [
        f"{event.get('LogicalResourceId', '?')}: {event.get('ResourceStatusReason', 'no reason')}"
        for event in reversed(events)
        if event.get("ResourceStatus", "").endswith("_FAILED")
    ]
    return "; ".join(failed[:3]) or "its events name no reason"
