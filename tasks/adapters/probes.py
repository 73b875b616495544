"""Requests to a serving process over HTTP, told back with who answered."""

import re
import time
from collections.abc import Callable
from functools import cache
from typing import Self

import httpx

from tasks.adapters import waits
from tasks.errors import DeployFailed, WaitTimeout
from tasks.records import Answer, Served, Usage

# A hanging process is a failed answer, soon enough for a release to be put back.
_TIMEOUT_S = 30
# Who reads the endpoint's logs can tell our own requests from the callers'.
_MARKED = {"X-Probe": "rollout"}
_METRIC = re.compile(r"^mlops_(cpu_usage_percent|memory_usage_bytes) (\S+)$", re.MULTILINE)

HELLO = {"text": "Is anybody there?"}

# Reading the 140 authorities anew would take longer than the question.
_trusted = cache(httpx.create_ssl_context)


class Session:
    """Many requests to one serving process, over connections that are kept; threads may share it.

    Nobody there is status 0: a fact about the process, no error of ours.
    """

    def __init__(self, url: str, key: str, headers: dict[str, str] | None = None) -> None:
        told = {"X-API-Key": key, **_MARKED, **(headers or {})}
        self._client = httpx.Client(
            base_url=url.rstrip("/"), headers=told, timeout=_TIMEOUT_S, verify=_trusted()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, payload: dict[str, str]) -> Answer:
        """POST to /predict."""
        began = time.perf_counter()
        try:
            found = self._client.post("/predict", json=payload)
        except httpx.TransportError as error:
            return Answer(0, f"{type(error).__name__}: {error}", "", "")
        return Answer(
            found.status_code,
            found.text,
            found.headers.get("X-Model-Version", ""),
            found.headers.get("X-Bundle-Digest", ""),
            time.perf_counter() - began,
        )

    def usage(self) -> Usage | None:
        """What the process says of itself in /metrics; None when it says nothing."""
        try:
            found = self._client.get("/metrics")
        except httpx.TransportError:
            return None
        told = dict(_METRIC.findall(found.text)) if found.status_code == 200 else {}
        if not {"cpu_usage_percent", "memory_usage_bytes"} <= told.keys():
            return None
        return Usage(float(told["cpu_usage_percent"]), float(told["memory_usage_bytes"]))


def ask(
    url: str, payload: dict[str, str], key: str, headers: dict[str, str] | None = None
) -> Answer:
    """One request to /predict."""
    with Session(url, key, headers) as session:
        return session.ask(payload)


def look(url: str, timeout_s: float) -> Answer:
    """GET /health, which needs no key; asked once more before nobody is said to be there."""
    answer = _health(url, timeout_s)
    return answer if answer.status else _health(url, timeout_s)


def steady(
    ask_once: Callable[[], Answer], wanted: Served, timeout_s: float, times: int = 5
) -> None:
    """Wait until `times` answers in a row come from the wanted version and bundle.

    Load balancers change over gradually: one good answer proves nothing. DeployFailed tells what
    the last answer was.
    """
    in_a_row = 0
    last = Answer(0, "not asked yet", "", "")

    def look() -> bool | None:
        nonlocal in_a_row, last
        for _ in range(times):
            last = ask_once()
            told = (last.status, last.version, last.digest)
            if told != (200, wanted.version, wanted.bundle_digest):
                in_a_row = 0
                return None
            in_a_row += 1
        return True if in_a_row >= times else None

    try:
        waits.until(look, timeout_s, lambda: "no steady answer")
    except WaitTimeout as error:
        raise DeployFailed(
            f"version {wanted.version} bundle {wanted.bundle_digest[:12]} does not answer "
            f"steadily after {timeout_s:.0f} s; the last answer was status {last.status} from "
            f"version {last.version or 'unknown'} bundle {last.digest[:12] or 'unknown'}: "
            f"{last.body[:200]}"
        ) from error


def _health(url: str, timeout_s: float) -> Answer:
    began = time.perf_counter()
    try:
        address = f"{url.rstrip('/')}/health"
        found = httpx.get(address, headers=_MARKED, timeout=timeout_s, verify=_trusted())
    except httpx.TransportError as error:
        return Answer(0, f"{type(error).__name__}: {error}", "", "")
    seconds = time.perf_counter() - began
    return Answer(found.status_code, found.text, _version(found), "", seconds)


def _version(found: httpx.Response) -> str:
    """What /health names as the version; empty where somebody else's page answers."""
    try:
        body = found.json()
    except ValueError:
        return ""
    return str(body.get("version") or "") if isinstance(body, dict) else ""
