"""What every answer has in common: headers, a log line, a count, and no bare error."""

import logging
import re
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import logs
from serving.contract import Refusal, now
from serving.headers import headers_of
from serving.metrics import STAGES, Metrics
from training.capture import new_id

logger = logging.getLogger(__name__)

Pairs = list[tuple[bytes, bytes]]

_SANE_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:=@/+-]{0,127}")
_CODES = {404: "not_found", 405: "method_not_allowed"}
PREDICTION_PATHS = {"/predict", "/predict/batch", "/invocations"}
# Probes come every few seconds, and what they would say is logged when it changes.
_QUIET = {"/health", "/ping", "/metrics"}
_PAGES = {"/docs", "/redoc"}
_JSON = b"application/json"
_SECURITY: Pairs = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
_NOTHING: Pairs = [(b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")]
# The pages of the documentation load their own script and style, and start them inline.
_OWN: Pairs = [
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
        b" img-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'none'",
    )
]
_TLS: Pairs = [(b"strict-transport-security", b"max-age=31536000")]


class Envelope:
    """The outermost ASGI layer, so that not even a 404 or a 500 escapes it.

    Inside it anything may raise Refusal, and `scope["state"]` holds `request_id`, `timings`
    (seconds by stage) and, once known, `caller`, `model_version` and `bundle_digest`.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        primary: Callable[[], tuple[str, str]],
    ) -> None:
        """`primary` gives name and digest of the version for answers that no version made."""
        self._app = app
        self._metrics = metrics
        self._primary = primary
        self._fixed: dict[tuple[str, str, bool, bool], tuple[Pairs, bytes]] = {}
        self._log = logs.sink()
        self._quiet = _QUIET if logger.getEffectiveLevel() > logging.DEBUG else set()
        self._logged = logger.isEnabledFor(logging.INFO)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        given = headers_of(scope)
        request_id = _id(given.get(b"x-request-id", b""))
        timed = given.get(b"x-server-timing") == b"1"
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["timings"] = {}
        status = 0
        apart = "whole_answers" not in scope.get("extensions", ())

        async def sealed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
                if timed:
                    headers.append(_server_timing(state["timings"], time.perf_counter() - began))
                message["headers"] = headers
                fixed, message["fixed"] = self._headers(scope)
                if apart:
                    headers += fixed
                    await _send_apart(send, message)
                    return
            await send(message)

        try:
            await self._app(scope, receive, sealed)
        except Refusal as refusal:
            if status:
                raise
            await _refuse(scope, refusal, sealed)
        except CancelledError:  # the server is ending and waits no longer
            if not status:
                gone = Refusal(503, "draining", "This server has ended before the answer")
                await _refuse(scope, gone, sealed)
            raise
        except Exception:
            logger.exception("request failed", extra={"fields": {"request_id": request_id}})
            if status:  # half an answer is out: cutting the connection is all that is left
                raise
            await _refuse(scope, _unexpected(), sealed)
        finally:
            self._record(scope, state, status, time.perf_counter() - began)

    def _headers(self, scope: Scope) -> tuple[Pairs, bytes]:
        """What every answer of a version carries, in pairs and as bytes."""
        state = scope["state"]
        if "model_version" in state:
            name, digest = state["model_version"], state["bundle_digest"]
        else:
            name, digest = self._primary()
        key = (name, digest, scope["path"] in _PAGES, scope.get("scheme") == "https")
        if (fixed := self._fixed.get(key)) is None:
            version = [(b"x-model-version", name.encode())]
            if digest:  # there is none before the first bundle is loaded
                version.append((b"x-bundle-digest", digest.encode()))
            policy = _OWN if key[2] else _NOTHING
            pairs = [*version, *_SECURITY, *policy, *(_TLS if key[3] else [])]
            fixed = pairs, b"".join(b"%b: %b\r\n" % pair for pair in pairs)
            self._fixed[key] = fixed
        return fixed

    def _record(self, scope: Scope, state: dict[str, Any], status: int, seconds: float) -> None:
        status = status or 500
        # Only a path that has a route is written down: any other is the caller's own text.
        path = scope["path"]
        if path not in PREDICTION_PATHS and path not in _QUIET and "route" not in scope:
            path = "unknown"
        version = state.get("model_version") or self._primary()[0]
        timings = state["timings"]
        if path in PREDICTION_PATHS and scope["method"] == "POST":
            self._metrics.answered(version, status, seconds, timings)
        self._metrics.responded(path, seconds, str(state.get("caller") or ""))
        if "refused" in state:
            self._metrics.refused(state["refused"])
        if self._logged and path not in self._quiet:
            self._write(scope, state, path, status, seconds, version)

    def _write(
        self,
        scope: Scope,
        state: Mapping[str, Any],
        path: str,
        status: int,
        seconds: float,
        version: str,
    ) -> None:
        fields: dict[str, object] = {
            "level": "INFO",
            "logger": __name__,
            "message": "request",
            "request_id": state["request_id"],
            "method": scope["method"],
            "path": path,
            "status": status,
            "milliseconds": round(seconds * 1000, 2),
            "model_version": version,
        }
        if caller := getattr(state.get("caller"), "id", None):
            fields["caller"] = caller
        if "refused" in state:
            fields["error"] = state["refused"]
        for stage, took in state["timings"].items():
            fields[f"{stage}_ms"] = round(took * 1000, 2)
        if self._log:
            self._log.put((time.time(), fields))
        else:
            logger.info("request", extra={"fields": fields})


def error_body(error: str, message: str, request_id: str) -> bytes:
    """The one shape that every error has."""
    body = {"error": error, "message": message, "timestamp": now(), "request_id": request_id}
    return orjson.dumps(body)


async def send_whole(
    send: Send, status: int, kind: bytes, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """An answer in one message, its body beside its head: each layer handles one, not two."""
    pairs = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": pairs, "body": body})


async def _send_apart(send: Send, message: Message) -> None:
    """The same as ASGI has it, for a server that is not ours."""
    body = message.pop("body", None)
    await send(message)
    if body is not None:
        await send({"type": "http.response.body", "body": body})


def _refused(scope: Scope, refusal: Refusal) -> bytes:
    """The body of a refusal; the log line and the count get its reason."""
    state = scope["state"]
    state["refused"] = refusal.error
    return error_body(refusal.error, refusal.message, state["request_id"])


async def _refuse(scope: Scope, refusal: Refusal, send: Send) -> None:
    headers = [(k.lower().encode(), v.encode("latin-1")) for k, v in refusal.headers.items()]
    await send_whole(send, refusal.status, _JSON, _refused(scope, refusal), headers)


def answer_refusal(scope: Scope, refusal: Refusal) -> Response:
    """The answer to a request that is refused within FastAPI."""
    content, headers = _refused(scope, refusal), dict(refusal.headers)
    return Response(content, refusal.status, headers, media_type="application/json")


async def on_refusal(request: Request, error: Exception) -> Response:
    """Answers our own refusals and the framework's (no such route, wrong method)."""
    if isinstance(error, HTTPException):
        code = _CODES.get(error.status_code, "http_error")
        error = Refusal(error.status_code, code, str(error.detail), error.headers)
    if isinstance(error, Refusal):
        return answer_refusal(request.scope, error)
    raise error


async def on_unexpected(request: Request, error: Exception) -> Response:
    """Answers what nobody foresaw, without its message, which may quote the caller."""
    return answer_refusal(request.scope, _unexpected())


def _unexpected() -> Refusal:
    return Refusal(500, "internal_error", "The request could not be answered")


def _id(given: bytes) -> str:
    """The caller's id when it can go into a header and a log as it is, else one of ours.

    Of what a caller sends, only this id and a caller's configured name reach the log.
    """
    if given and _SANE_ID.fullmatch(given):
        return given.decode()
    return new_id()


def _server_timing(timings: Mapping[str, float], total: float) -> tuple[bytes, bytes]:
    """Milliseconds by stage, in the form that browsers' developer tools show."""
    parts = [f"{stage};dur={timings[stage] * 1000:.2f}" for stage in STAGES if stage in timings]
    return b"server-timing", ", ".join([*parts, f"total;dur={total * 1000:.2f}"]).encode()
