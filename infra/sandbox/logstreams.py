"""What a container prints, live in CloudWatch Logs."""

import json
import threading
import time
from pathlib import Path

from moto.logs import urls
from moto.logs.models import LogsBackend, LogStream, logs_backends
from moto.logs.responses import LogsResponse

from infra.sandbox.world import ACCOUNT, REGION, Process, World

_LONGEST = 32_000
_lock = threading.Lock()


class Filtered(LogsResponse):  # moto ignores the prefix and answers with every stream
    def filter_log_events(self) -> str:
        group = self.logs_backend.groups.get(self._get_param("logGroupName"))
        if group and (prefix := self._get_param("logStreamNamePrefix")):
            names = [name for name in list(group.streams) if name.startswith(prefix)]
            asked = json.loads(self.body)  # type: ignore[has-type]
            self.body = json.dumps({**asked, "logStreamNames": names or [prefix]})
        return str(super().filter_log_events())


def install(world: World) -> None:
    urls.url_paths["{0}/$"] = Filtered.dispatch


def follow(process: Process, group: str, stream: str) -> threading.Thread:
    """Copy the process's log to the stream until it has ended; join to have all of it there."""
    thread = threading.Thread(target=_copy, args=(process, group, stream), daemon=True)
    thread.start()
    return thread


def tail(path: Path, limit: int = 900) -> str:
    """The last lines that fit into the limit."""
    text = path.read_bytes()[-4 * limit :].decode(errors="replace") if path.exists() else ""
    kept: list[str] = []
    for line in reversed([line for line in text.splitlines() if line.strip()]):
        if sum(map(len, kept)) + len(kept) + len(line) > limit:
            break
        kept.insert(0, line)
    return "\n".join(kept) or text[-limit:].strip()


def _copy(process: Process, group: str, stream: str) -> None:
    logs: LogsBackend = logs_backends[ACCOUNT][REGION]
    with _lock:
        logs.ensure_log_group(group)
        held = logs.groups[group]
        if stream not in held.streams:  # in another dictionary: moto may be listing this one
            held.streams = {**held.streams, stream: LogStream(held, stream)}
    rest = b""
    with process.log.open("rb") as file:
        file.seek(process.log_from)
        while True:
            ended = not process.running
            rest += file.read()
            *lines, rest = rest.replace(b"\r", b"\n").split(b"\n")
            if ended and rest:
                lines.append(rest)
            _put(logs, group, stream, lines)
            if ended:
                return
            time.sleep(0.25)


def _put(logs: LogsBackend, group: str, stream: str, lines: list[bytes]) -> None:
    now = int(time.time() * 1000)
    texts = [line.decode(errors="replace")[:_LONGEST] for line in lines if line.strip()]
    held = logs.groups.get(group)
    if texts and held and stream in held.streams:
        events = [{"timestamp": now, "message": text} for text in texts]
        logs.put_log_events(group, stream, events)
