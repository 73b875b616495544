"""SSM SendCommand that runs the document's shell script on the instance."""

import datetime
import json
import re
import shlex
import sys
import threading
from pathlib import Path
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.ssm.models import Command, SimpleSystemManagerBackend, ssm_backends
from moto.ssm.responses import SimpleSystemManagerResponse

from infra.sandbox import instances
from infra.sandbox.world import ACCOUNT, REGION, World

SHIMS = Path(__file__).with_name("shims")
_LIMIT = {"stdout": 24_000, "stderr": 8_000}
_UNFINISHED = ("Pending", "InProgress")
_telling = threading.Lock()
_BUILT_IN = {
    "AWS-RunShellScript": {
        "schemaVersion": "2.2",
        "parameters": {"commands": {"type": "StringList"}},
        "mainSteps": [
            {
                "action": "aws:runShellScript",
                "name": "runShellScript",
                "inputs": {"runCommand": "{{ commands }}"},
            }
        ],
    }
}


def install(world: World) -> None:
    def send_command(self: Any, **asked: Any) -> Command:
        return send(world, self, asked)

    SimpleSystemManagerBackend.send_command = send_command
    SimpleSystemManagerResponse.describe_instance_information = describe_instance_information
    SimpleSystemManagerResponse.list_command_invocations = list_command_invocations


def restore(world: World) -> None:
    """A command that ran when the sandbox was killed has failed."""
    for command in ssm_backends[ACCOUNT][REGION]._commands:
        for invocation in command.invocations:
            if invocation["Status"] in _UNFINISHED:
                _tell(command, invocation, "Failed", 1)
                invocation["StandardErrorContent"] += "\nthe instance was restarted"


def send(world: World, backend: Any, asked: dict[str, Any]) -> Command:
    """Check everything that AWS checks, then run on each instance in a thread of its own."""
    known = instances.all_instances()
    targets = _targets(asked, known)
    for one in targets:
        if one not in known or known[one].state != "running":
            raise _error("InvalidInstanceId", f"Instances [[{one}]] not in a valid state")
    content = _content(backend, asked["document_name"])
    script = _script(content, _values(content, asked["parameters"] or {}))
    command = Command(
        account_id=backend.account_id, backend_region=backend.region_name,
        **{**asked, "instance_ids": list(targets), "targets": []},
    )  # fmt: skip
    command.instance_ids = targets
    command.status = command.status_details = "Pending"
    command.completed_count, command.target_count = 0, len(targets)
    command.invocations = [command.invocation_response(one, _step(content)) for one in targets]
    for invocation in command.invocations:
        invocation.update(Status="Pending", StatusDetails="Pending", ResponseCode=-1)
    backend._commands.append(command)
    limit_s = _timeout(content)
    for invocation in command.invocations:
        threading.Thread(
            target=_run, args=(world, command, invocation, script, limit_s), daemon=True
        ).start()
    return command


def _targets(asked: dict[str, Any], known: dict[str, Any]) -> list[str]:
    found = list(dict.fromkeys(asked["instance_ids"]))
    for target in asked["targets"] or []:
        name = target["Key"].removeprefix("tag:")
        for one in known.values():
            tags = {tag["key"]: tag["value"] for tag in one.get_tags()}
            if tags.get(name) in target["Values"] or (
                name == "InstanceIds" and one.id in target["Values"]
            ):
                found.append(one.id)
    return found


def _content(backend: Any, name: str) -> dict[str, Any]:
    name = name.rsplit("/", 1)[-1]
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    if name not in backend._documents:
        raise _error("InvalidDocument", f"document {name} does not exist")
    return dict(backend._documents[name].get_default_version().content_json)


def _values(content: dict[str, Any], given: dict[str, list[str]]) -> dict[str, list[str]]:
    """What each parameter is; InvalidParameters names the one that is not allowed."""
    declared = content.get("parameters") or {}
    if unknown := set(given) - set(declared):
        raise _error("InvalidParameters", f"document has no parameter {sorted(unknown)}")
    values = {}
    for name, shape in declared.items():
        if name in given:
            value = given[name] if isinstance(given[name], list) else [given[name]]
        elif "default" in shape:
            default = shape["default"]
            value = default if isinstance(default, list) else [default]
        else:
            raise _error("InvalidParameters", f"parameter {name} has no value")
        values[name] = [str(one) for one in value]
        for one in values[name]:
            if (pattern := shape.get("allowedPattern")) and not re.search(pattern, one):
                raise _error("InvalidParameters", f"parameter {name}: {one!r} is not {pattern}")
            if (allowed := shape.get("allowedValues")) and one not in allowed:
                raise _error("InvalidParameters", f"parameter {name}: {one!r} is none of {allowed}")
    return values


def _script(content: dict[str, Any], values: dict[str, list[str]]) -> str:
    lines: list[str] = []
    for step in content["mainSteps"]:
        asked = step["inputs"]["runCommand"]
        lines += [asked] if isinstance(asked, str) else asked
    return re.sub(
        r"\{\{\s*(\w+)\s*\}\}",
        lambda found: "\n".join(values[found[1]]) if found[1] in values else found[0],
        "\n".join(lines),
    )


def _step(content: dict[str, Any]) -> str:
    return str(content["mainSteps"][0].get("name", "aws:runShellScript"))


def _timeout(content: dict[str, Any]) -> float:
    return float(content["mainSteps"][0]["inputs"].get("timeoutSeconds", 3600))


def _run(
    world: World, command: Command, invocation: dict[str, Any], script: str, limit_s: float
) -> None:
    """The script in bash, in the instance's folder."""
    folder = world.state / "instances" / invocation["InstanceId"]
    place = world.folder("instances", invocation["InstanceId"], "commands", command.command_id)
    (place / "script.sh").write_text(script)
    out, err = place / "stdout", place / "stderr"
    _tell(command, invocation, "InProgress", -1)
    path = world.child_environment()["PATH"]
    try:
        process = world.spawn(
            f"ssm {command.command_id}",
            [
                "bash",
                "-c",
                f"exec bash script.sh > {shlex.quote(str(out))} 2> {shlex.quote(str(err))}",
            ],
            {
                "HOME": str(folder),
                "PATH": f"{SHIMS}:{path}",
                "SANDBOX_INSTANCE": str(folder),
                "SANDBOX_PYTHON": sys.executable,
            },
            place,
            place / "log",
        )
    except RuntimeError:
        return  # the sandbox stops; its next start tells that the command failed
    code: int | None = None
    try:
        code = process.wait(limit_s)
    except Exception:
        if process.running:
            world.stop(process)
    if world.stopping.is_set():
        return
    for name, file in (("StandardOutputContent", out), ("StandardErrorContent", err)):
        text = file.read_text(errors="replace") if file.exists() else ""
        invocation[name] = text[: _LIMIT[file.name]]
    status = "TimedOut" if code is None else "Success" if code == 0 else "Failed"
    _tell(command, invocation, status, -1 if code is None else code)
    world.changed()


def _tell(command: Command, invocation: dict[str, Any], status: str, code: int) -> None:
    with _telling:  # the one who tells last has seen what the others told
        now = datetime.datetime.now(datetime.UTC)
        invocation.update(Status=status, StatusDetails=status, ResponseCode=code)
        if status == "InProgress":
            invocation["ExecutionStartDateTime"] = now.isoformat()
        else:
            invocation["ExecutionEndDateTime"] = now.isoformat()
            begun = datetime.datetime.fromisoformat(invocation["ExecutionStartDateTime"])
            begun = begun if begun.tzinfo else begun.replace(tzinfo=datetime.UTC)
            invocation["ExecutionElapsedTime"] = f"PT{(now - begun).total_seconds():.3f}S"
        states = {one["Status"] for one in command.invocations}
        unfinished = states & set(_UNFINISHED)
        worst = next((one for one in ("TimedOut", "Failed") if one in states), "Success")
        command.status = command.status_details = "InProgress" if unfinished else worst
        done = [one for one in command.invocations if one["Status"] not in _UNFINISHED]
        command.completed_count = len(done)
        command.error_count = sum(one["Status"] != "Success" for one in done)


def _error(code: str, message: str) -> JsonRESTError:
    return JsonRESTError(code, message)


def describe_instance_information(self: Any) -> ActionResult:
    """Every running instance has an agent that is online."""
    told = [
        {
            "InstanceId": one.id,
            "PingStatus": "Online",
            "LastPingDateTime": datetime.datetime.now(datetime.UTC),
            "AgentVersion": "3.3.0.0",
            "PlatformType": "Linux",
            "PlatformName": "Amazon Linux",
            "PlatformVersion": "2023",
            "ResourceType": "EC2Instance",
            "IPAddress": one.private_ip,
        }
        for one in instances.all_instances().values()
        if one.state == "running"
    ]
    return ActionResult({"InstanceInformationList": told})


def list_command_invocations(self: Any) -> ActionResult:
    asked = json.loads(self.body or "{}")
    commands = self.ssm_backend.list_commands(asked.get("CommandId"), asked.get("InstanceId"))
    found = []
    for command in commands:
        for one in command.invocations:
            if asked.get("InstanceId") in (None, one["InstanceId"]):
                plugin = {
                    "Name": one["PluginName"],
                    "Status": one["Status"],
                    "StatusDetails": one["StatusDetails"],
                    "ResponseCode": one["ResponseCode"],
                    "Output": one["StandardOutputContent"][:2500],
                }
                kept = ("CommandId", "InstanceId", "Comment", "DocumentName", "Status")
                found.append(
                    {
                        **{key: one[key] for key in kept},
                        "StatusDetails": one["StatusDetails"],
                        "RequestedDateTime": command.requested_date_time,
                        "CommandPlugins": [plugin] if asked.get("Details") else [],
                    }
                )
    return ActionResult({"CommandInvocations": found})
