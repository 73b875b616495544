"""Requests to a serving process over HTTP, told back with who answered."""

import httpx

from tasks.records import Answer

# A hanging process is a failed answer, soon enough for a release to be put back.
_TIMEOUT_S = 30


def ask(url: str, payload: dict[str, str]) -> Answer:
    """POST to /predict. Nobody there is status 0: a fact about the process, no error of ours."""
    try:
        found = httpx.post(f"{url.rstrip('/')}/predict", json=payload, timeout=_TIMEOUT_S)
    except httpx.TransportError as error:
        return Answer(0, f"{type(error).__name__}: {error}", "", "")
    return Answer(
        found.status_code,
        found.text,
        found.headers.get("X-Model-Version", ""),
        found.headers.get("X-Bundle-Digest", ""),
    )
