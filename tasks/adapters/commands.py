"""SSM commands on an instance, each run once per operation. The comment carries the op id."""

import logging
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as AwsConnectionError

from tasks.adapters import waits
from tasks.errors import DeployFailed

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

log = logging.getLogger(__name__)

_ONLINE_S = 600
_COMMAND_S = 1800
_TAIL = 800
_RUNNING = frozenset({"Pending", "InProgress", "Delayed"})
_UNENDED = _RUNNING | {"Cancelling"}


def sent(ssm: "SSMClient", instance: str, op_id: str) -> list[tuple[str, str]]:
    """The commands of the operation on the instance, newest first, as (id, status)."""
    mine = [one for one in _listed(ssm, instance) if one.get("Comment") == op_id]
    mine.sort(key=lambda one: one["RequestedDateTime"], reverse=True)
    return [(one["CommandId"], one["Status"]) for one in mine]


def running(ssm: "SSMClient", instance: str, document: str) -> list[str]:
    """The commands of any operation that may still change what the document changes."""
    return [
        one["CommandId"]
        for one in _listed(ssm, instance)
        if one["DocumentName"] == document and one["Status"] in _UNENDED
    ]


def run(
    ssm: "SSMClient", instance: str, document: str, parameters: dict[str, str], op_id: str
) -> None:
    """Run the document on the instance and wait for its end, once per operation.

    A command of this operation that runs or has succeeded is not sent again. One that a dead
    operation left is waited for: it would undo this one later. DeployFailed carries the last lines
    of its standard error.
    """
    good = [one for one, status in sent(ssm, instance, op_id) if status in {*_RUNNING, "Success"}]
    if not good:
        _others_ended(ssm, instance, document)
    command = good[0] if good else _send(ssm, instance, document, parameters, op_id)
    told = _ended(ssm, instance, command)
    if told["Status"] != "Success":
        output = told.get("StandardErrorContent") or told.get("StandardOutputContent") or ""
        raise DeployFailed(
            f"{document} on {instance} ended {told['Status']}: {output.strip()[-_TAIL:]}; all of "
            f"it: `aws ssm get-command-invocation --command-id {command} --instance-id {instance}`"
        )


def _listed(ssm: "SSMClient", instance: str) -> list[Any]:
    pages = ssm.get_paginator("list_commands").paginate(InstanceId=instance)
    return [one for page in pages for one in page["Commands"]]


def _others_ended(ssm: "SSMClient", instance: str, document: str) -> None:
    others: list[str] = []

    def look() -> bool | None:
        nonlocal others
        others = running(ssm, instance, document)
        return None if others else True

    waits.until(look, _COMMAND_S, lambda: f"command {', '.join(others)} on {instance} still runs")


def _send(
    ssm: "SSMClient", instance: str, document: str, parameters: dict[str, str], op_id: str
) -> str:
    """Send once. SSM has no client token, so a lost answer is looked up and never sent again."""

    def look() -> str | None:
        try:
            return ssm.send_command(
                InstanceIds=[instance],
                DocumentName=document,
                Parameters={key: [value] for key, value in parameters.items()},
                Comment=op_id,
                TimeoutSeconds=600,
            )["Command"]["CommandId"]
        except ssm.exceptions.InvalidInstanceId:
            log.info("%s is not known to SSM yet", instance)
            return None
        except (ClientError, HTTPClientError, AwsConnectionError) as error:
            if not _lost(error) or not (there := sent(ssm, instance, op_id)):
                raise
            return there[0][0]

    return waits.until(look, _ONLINE_S, lambda: f"instance {instance} is not known to SSM")


def _ended(ssm: "SSMClient", instance: str, command: str) -> Any:
    def look() -> Any | None:
        try:
            found = ssm.get_command_invocation(CommandId=command, InstanceId=instance)
        except ssm.exceptions.InvocationDoesNotExist:
            return None
        return None if found["Status"] in _UNENDED else found

    return waits.until(look, _COMMAND_S, lambda: f"command {command} on {instance} still runs")


def _lost(error: Exception) -> bool:
    """Whether the command may have been accepted although no good answer came."""
    if isinstance(error, ClientError):
        return bool(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500)
    return True
