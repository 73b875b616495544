"""What every answer has in common: headers, a log line, a count, and no bare error."""

import logging
import re
import time
import uuid
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.contract import ErrorBody, Refusal, now
from serving.metrics import Metrics

logger = logging.getLogger(__name__)

_SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:=@/+-]{0,127}")
_CODES = {404: "not_found", 405: "method_not_allowed"}
# Probes come every few seconds, and what they would say is logged when it changes.
_QUIET = {"/health", "/ping", "/metrics"}
PREDICTION_PATHS = {"/predict", "/predict/batch", "/invocations"}


class Envelope:
    """ASGI middleware around all routes, so that not even a 404 or a 500 escapes it."""

    def __init__(
        self, app: ASGIApp, headers: Mapping[str, str], metrics: Metrics, model_version: str
    ) -> None:
        self._app = app
        self._headers = headers
        self._metrics = metrics
        self._model_version = model_version

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def sealed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update({**self._headers, "X-Request-Id": request_id})
            await send(message)

        try:
            await self._app(scope, receive, sealed)
        except Exception:
            logger.exception("request failed", extra={"fields": {"request_id": request_id}})
            if status:  # half an answer is out: cutting the connection is all that is left
                raise
            refusal = Refusal(500, "internal_error", "The request could not be answered")
            await refused(Request(scope), refusal)(scope, receive, sealed)
        finally:
            self._record(scope, request_id, status, time.perf_counter() - began)

    def _record(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        # Only a path that has a route is written down: any other is the caller's own text.
        path = scope["path"] if "route" in scope else "unknown"
        if path in PREDICTION_PATHS and scope["method"] == "POST":
            self._metrics.answered(status or 500, seconds)
        level = logging.DEBUG if path in _QUIET else logging.INFO
        fields = {
            "request_id": request_id,
            "method": scope["method"],
            "path": path,
            "status": status,
            "milliseconds": round(seconds * 1000, 2),
            "model_version": self._model_version,
        }
        logger.log(level, "request", extra={"fields": fields})


def refused(request: Request, refusal: Refusal) -> JSONResponse:
    """The error body of a refusal."""
    body = ErrorBody(
        error=refusal.error,
        message=refusal.message,
        timestamp=now(),
        request_id=request.state.request_id,
    )
    return JSONResponse(body.model_dump(), refusal.status, dict(refusal.headers))


async def on_refusal(request: Request, error: Exception) -> JSONResponse:
    """Answers our own refusals and the framework's (no such route, wrong method)."""
    if isinstance(error, Refusal):
        return refused(request, error)
    if isinstance(error, HTTPException):
        code = _CODES.get(error.status_code, "http_error")
        return refused(request, Refusal(error.status_code, code, str(error.detail)))
    raise error


def _request_id(scope: Scope) -> str:
    """The caller's id when it can go into a header and a log as it is, otherwise a new one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex
