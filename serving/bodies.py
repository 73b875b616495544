"""From the bytes of a request to its JSON: how much is read, of which kind, and how strictly."""

import json
from typing import Any

import orjson
from starlette.types import Receive

from serving.contract import Refusal
from serving.headers import Headers

JSON = "application/json"


async def read(receive: Receive, headers: Headers, limit: int) -> bytes:
    """The whole body; a refusal as soon as it is known to be larger than the limit."""
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared[:20]) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(400, "incomplete_body", "The connection ended within the body")
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def kind_of(headers: Headers, allowed: tuple[str, ...] = (JSON,)) -> str:
    """The media type that the caller declared; without a word it is JSON."""
    given = headers.get(b"content-type")
    if given is None or given == b"application/json":
        return JSON
    kind, *parameters = (part.strip().lower() for part in given.decode("latin-1").split(";"))
    charset = next((p for p in parameters if p.startswith("charset=")), "charset=utf-8")
    if charset.partition("=")[2].strip('"') not in ("utf-8", "utf8"):
        raise Refusal(415, "unsupported_media_type", "The charset must be utf-8")
    if (kind or JSON) not in allowed:
        message = f"Content-Type must be {' or '.join(allowed)}"
        raise Refusal(415, "unsupported_media_type", message)
    return kind or JSON


def parse(body: bytes, where: str = "The body") -> Any:
    """The JSON value in the body, strictly as RFC 8259 has it and no key said twice."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _not_json(where, f"{error.msg} (character {error.pos})") from None
    # Each member of an object has one colon; as many as there are members means none was dropped.
    if isinstance(value, dict) and body.count(b":") != len(value):
        _refuse_twins(body, where)
    return value


def _refuse_twins(body: bytes, where: str) -> None:
    try:
        _TWINS.decode(body.decode())
    except ValueError:
        raise _not_json(where, "an object has the same key twice") from None
    except RecursionError:
        raise _not_json(where, "nested too deeply") from None


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise ValueError
    return found


_TWINS = json.JSONDecoder(object_pairs_hook=_object)


def text_of(body: bytes) -> str:
    """The body as text, for what is not JSON."""
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Refusal(400, "invalid_encoding", f"Not UTF-8 at byte {error.start}") from None


def _too_large(limit: int) -> Refusal:
    return Refusal(413, "payload_too_large", f"The body exceeds {limit} bytes")


def _not_json(where: str, why: str) -> Refusal:
    return Refusal(400, "invalid_json", f"{where} is not valid JSON in UTF-8: {why}")
