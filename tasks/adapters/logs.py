"""CloudWatch Logs of a job, read on from where the last look ended."""

import logging
from dataclasses import dataclass, field
from time import sleep
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

log = logging.getLogger(__name__)

_KEPT = 40
# CloudWatch has a job's last lines some seconds after the job is over.
_LATE_S, _LOOKS = 5.0, 6


@dataclass(slots=True)
class Tail:
    """How far the streams of one job were read; `last` are the last lines seen."""

    group: str
    prefix: str
    tokens: dict[str, str] = field(default_factory=dict)
    last: list[str] = field(default_factory=list)

    @property
    def where(self) -> str:
        """Group and stream, as a person looks them up."""
        return f"{self.group} {next(iter(self.tokens), self.prefix)}"


def read(logs: "CloudWatchLogsClient", tail: Tail) -> list[str]:
    """The lines that came since the last look; none while there is no stream yet."""
    lines = [line for stream in _streams(logs, tail) for line in _lines(logs, tail, stream)]
    tail.last = [*tail.last, *lines][-_KEPT:]
    return lines


def follow(logs: "CloudWatchLogsClient", tail: Tail) -> list[str]:
    """Like `read`, and every line goes on to the log of this process."""
    lines = read(logs, tail)
    for line in lines:
        log.info("%s", line)
    return lines


def follow_to_end(logs: "CloudWatchLogsClient", tail: Tail) -> None:
    """Follow a job that is over until a look brings nothing new, for half a minute at most.

    While it has said nothing at all its words are still awaited.
    """
    for _ in range(_LOOKS):
        sleep(_LATE_S)
        if not follow(logs, tail) and tail.last:
            return


def _streams(logs: "CloudWatchLogsClient", tail: Tail) -> list[str]:
    pages = logs.get_paginator("describe_log_streams").paginate(
        logGroupName=tail.group, logStreamNamePrefix=tail.prefix
    )
    try:
        return [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return []  # the group is made with the first line that is written to it


def _lines(logs: "CloudWatchLogsClient", tail: Tail, stream: str) -> list[str]:
    lines: list[str] = []
    request: dict[str, Any] = {"logGroupName": tail.group, "logStreamName": stream}
    request["startFromHead"] = True
    while True:
        if here := tail.tokens.get(stream):
            request["nextToken"] = here
        page = logs.get_log_events(**request)
        lines += [event["message"].rstrip() for event in page["events"]]
        tail.tokens[stream] = page["nextForwardToken"]
        if tail.tokens[stream] == here:  # AWS's own mark of the end; a page may well be empty
            return lines
