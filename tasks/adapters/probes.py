"""Requests to a serving process over HTTP, told back with who answered."""

from collections.abc import Callable

import httpx

from tasks.adapters import waits
from tasks.errors import DeployFailed, WaitTimeout
from tasks.records import Answer, Served

# A hanging process is a failed answer, soon enough for a release to be put back.
_TIMEOUT_S = 30


def ask(url: str, payload: dict[str, str], key: str) -> Answer:
    """POST to /predict. Nobody there is status 0: a fact about the process, no error of ours."""
    try:
        found = httpx.post(
            f"{url.rstrip('/')}/predict",
            json=payload,
            headers={"X-API-Key": key},
            timeout=_TIMEOUT_S,
        )
    except httpx.TransportError as error:
        return Answer(0, f"{type(error).__name__}: {error}", "", "")
    return Answer(
        found.status_code,
        found.text,
        found.headers.get("X-Model-Version", ""),
        found.headers.get("X-Bundle-Digest", ""),
    )


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
