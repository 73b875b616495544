"""CloudFormation stacks: made when absent, updated when their template changed, and taken back."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tasks.adapters import waits
from tasks.errors import DeployFailed, NotFound

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_s3 import S3Client

_WAIT_S = 1800
_WHOLE = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
_ROLLED_BACK = "UPDATE_ROLLBACK_COMPLETE"


@dataclass(frozen=True, slots=True)
class Made:
    """What a stack is made from."""

    template: str
    parameters: dict[str, str]


def ensure(
    cloudformation: "CloudFormationClient",
    name: str,
    template: str,
    parameters: dict[str, str],
    tags: dict[str, str],
    token: str,
    keep: Callable[[Made], None] = lambda _: None,
) -> dict[str, str]:
    """The outputs of the stack; it is there, whole, made from `template` with `parameters`.

    Before an update `keep` gets what the stack is made from. A stack that somebody else is
    changing is waited for. DeployFailed tells why CloudFormation gave up, from the stack's events.
    """
    asked: dict[str, Any] = {
        "StackName": name,
        "TemplateBody": template,
        "Parameters": _list(parameters),
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        "ClientRequestToken": token,
    }
    if _describe(cloudformation, name) is None:
        # A lost answer or another run: the wait below judges what is there.
        with suppress(cloudformation.exceptions.AlreadyExistsException):
            cloudformation.create_stack(**asked, OnFailure="ROLLBACK")
    _settled(cloudformation, name, {*_WHOLE, _ROLLED_BACK})
    now = made(cloudformation, name)
    same = now.template.strip() == template.strip()
    if not same or not parameters.items() <= now.parameters.items():
        keep(now)
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


def made(cloudformation: "CloudFormationClient", name: str) -> Made:
    """The template as it was given (ours are YAML, botocore would have parsed JSON) and so on."""
    stack = _describe(cloudformation, name) or {}
    told = {one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])}
    return Made(str(cloudformation.get_template(StackName=name)["TemplateBody"]), told)


def recover(cloudformation: "CloudFormationClient", name: str, before: Made | None) -> str:
    """Take the stack's last update back; what was done. Twice is the same as once.

    An update under way is cancelled, a roll back that got stuck is continued, and a finished
    update is undone by applying `before`, what the stack was made from until then.
    """
    if (stack := _describe(cloudformation, name)) is None:
        raise NotFound(f"there is no stack {name}; run deploy")
    if stack["StackStatus"] == "UPDATE_IN_PROGRESS":
        try:
            cloudformation.cancel_update_stack(StackName=name)
        except ClientError as error:  # the update may have come to its end meanwhile
            if error.response["Error"]["Code"] != "ValidationError":
                raise
    elif stack["StackStatus"] == "UPDATE_ROLLBACK_FAILED":
        cloudformation.continue_update_rollback(StackName=name)
    status = _settled(cloudformation, name, {*_WHOLE, _ROLLED_BACK})
    if status == _ROLLED_BACK:
        return f"stack {name} is what it was before its last update: CloudFormation rolled it back"
    now = made(cloudformation, name)
    if before is None or before == now:
        return f"stack {name} is {status} and was not updated since: nothing to take back"
    _update(
        cloudformation,
        {
            "StackName": name,
            "TemplateBody": before.template,
            "Parameters": _list(before.parameters),
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
        },
    )
    _settled(cloudformation, name, _WHOLE)
    return f"stack {name} has the template and the parameters again that it had before its update"


def write_made(s3: "S3Client", bucket: str, name: str, made: Made) -> None:
    """Remember what the stack is made from, for `recover`."""
    body = json.dumps(asdict(made)).encode()
    s3.put_object(Bucket=bucket, Key=f"stacks/{name}.json", Body=body)


def read_made(s3: "S3Client", bucket: str, name: str) -> Made | None:
    """What the stack was made from before its last update, None when it never had one."""
    try:
        body = s3.get_object(Bucket=bucket, Key=f"stacks/{name}.json")["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None
    return Made(**json.loads(body))


def _update(cloudformation: "CloudFormationClient", asked: dict[str, Any]) -> None:
    try:
        cloudformation.update_stack(**asked)
    except ClientError as error:
        if "No updates are to be performed" not in error.response["Error"]["Message"]:
            raise


def _list(parameters: dict[str, str]) -> list[dict[str, str]]:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]


def _describe(cloudformation: "CloudFormationClient", name: str) -> Any | None:
    try:
        found = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" not in error.response["Error"]["Message"]:
            raise
        return None
    alive = [stack for stack in found if stack["StackStatus"] != "DELETE_COMPLETE"]
    return alive[0] if alive else None


def _settled(cloudformation: "CloudFormationClient", name: str, good: set[str]) -> str:
    """Its status once the stack is whole; DeployFailed when it will not become so by itself."""
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
    return status


def _reasons(cloudformation: "CloudFormationClient", name: str) -> str:
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    failed = [
        f"{event.get('LogicalResourceId', '?')}: {event.get('ResourceStatusReason', 'no reason')}"
        for event in reversed(events)
        if event.get("ResourceStatus", "").endswith("_FAILED")
    ]
    return "; ".join(failed[:3]) or "its events name no reason"
