"""Who may call: a key first, then how often, then the request's body; and a line for the audit."""

import asyncio
import binascii
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.addresses import Addresses
from serving.audit import audit_of
from serving.contract import Refusal
from serving.headers import Headers, headers_of
from serving.keysource import keys_of
from serving.limits import Rule, Rules, limits_of
from serving.metrics import Metrics
from serving.pages import PATHS

if TYPE_CHECKING:
    from serving.settings import ServingSettings

# Load balancers and supervisors probe these; they hold no key.
PROBES = frozenset({"/health", "/health/live", "/ping"})
# Written down as they are; any other path is the caller's own text.
_PATHS = frozenset(
    {"/predict", "/predict/batch", "/invocations", "/feedback", "/model/info"}
    | {"/metrics", "/docs", "/redoc", "/openapi.json"}
)
# A browser asks a person for a key by itself when it hears Basic; it would send it along for other
# sites, too, so nothing is computed for it.
_PAGES = frozenset(PATHS) | {"/openapi.json"}
_HOW = "send a key as X-API-Key or as Authorization: Bearer"

Pairs = list[tuple[bytes, bytes]]


class Caller(NamedTuple):
    """Who asks. `id` and `key` (which of the caller's keys) are empty when no key said so."""

    id: str
    kind: str
    address: str
    key: str = ""

    def __str__(self) -> str:
        return self.id or self.kind


class Guard:
    """ASGI layer inside the envelope; raises CannotStart when nobody could be let in."""

    def __init__(self, settings: "ServingSettings") -> None:
        self._app: ASGIApp = _nothing
        self._needs_key = settings.auth == "keys"
        self._keys = keys_of(settings)
        self._limits = limits_of(settings)
        self._audit = audit_of(settings)
        self._hashes = settings.audit_text == "hash"
        self._addresses = Addresses(settings.trusted_proxies)
        # SageMaker calls only these two, and IAM says who may call SageMaker.
        self._open = PROBES | {"/invocations"} if settings.sagemaker else PROBES
        minute, second = settings.rate_limit_per_minute, settings.rate_limit_per_second
        by_address: Rules = (Rule(minute, 60), Rule(second, 1))
        self._rules: dict[str, Rules] = {
            "stranger": by_address,
            "anonymous": by_address,
            "standard": (Rule(settings.rate_limit_key_per_minute, 60),),
            "load-test": (Rule(settings.rate_limit_load_test_per_minute, 60),),
        }

    def tell(self, metrics: Metrics) -> None:
        """Let the metrics tell of what the guard had to do without."""
        audit, limits = self._audit, self._limits
        if audit:
            metrics.counter(
                "mlops_audit_lines_lost",
                "Audit lines that could not be written",
                lambda: [({}, audit.lost)],
            )
        if limits and limits.shared:
            metrics.counter(
                "mlops_rate_limit_fallbacks",
                "Requests limited by this server alone, for Redis did not answer",
                lambda: [({}, limits.fallbacks)],
            )

    def before(self, app: ASGIApp) -> "Guard":
        """This guard, which passes on to the app."""
        self._app = app
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._not_http(scope, receive, send)
            return
        if scope["path"] in self._open:
            await self._app(scope, receive, send)
            return
        caller, refusal = self._recognise(scope)
        scope["state"]["caller"] = caller
        headers: Pairs = []
        if self._limits:
            name = f"caller:{caller.id}" if caller.id else f"address:{caller.address}"
            taken = await self._limits.take(name, self._rules[caller.kind])
            headers = taken.headers()
            if taken.wait_s > 0:
                message = f"More than {taken.limit} requests in a minute, or too many at once"
                refusal = Refusal(429, "rate_limited", message)
        if headers or refusal or self._audit:
            await self._pass_on(scope, receive, send, headers, refusal)
        else:
            await self._app(scope, receive, send)

    async def _pass_on(
        self, scope: Scope, receive: Receive, send: Send, headers: Pairs, refusal: Refusal | None
    ) -> None:
        status, error = 0, ""
        digest = hashlib.sha256()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        async def hashed() -> Message:
            message = await receive()
            digest.update(message.get("body", b""))
            return message

        try:
            if refusal:
                raise refusal
            await self._app(scope, hashed if self._hashes else receive, noted)
        except Refusal as told:
            status, error = told.status, told.error
            told.headers = {**told.headers, **{k.decode(): v.decode() for k, v in headers}}
            raise
        finally:
            if self._audit:
                record = _record(scope, status, error or scope["state"].get("refused", ""))
                if self._hashes and not refusal:
                    record["body_sha256"] = digest.hexdigest()
                self._audit.write(record)

    def _recognise(self, scope: Scope) -> tuple[Caller, Refusal | None]:
        page = scope["path"] in _PAGES and scope["method"] == "GET"
        headers, peer = headers_of(scope), scope["client"]
        forwarded = headers.get(b"x-forwarded-for", b"")
        address = self._addresses.caller(peer[0] if peer else "", forwarded)
        if not self._needs_key:
            return Caller("", "anonymous", address), None
        stranger = Caller("", "stranger", address)
        if self._keys is None:
            return stranger, Refusal(404, "not_found", "Not offered beside SageMaker's own paths")
        presented = _presented(headers, basic=page)
        if not presented:
            return stranger, _unauthorized(f"This endpoint needs a key: {_HOW}", page)
        stored = self._keys.find(presented)
        if stored is None:
            return stranger, _unauthorized(f"The key is not accepted: {_HOW}", page)
        return Caller(stored.id, stored.kind, address, stored.key), None

    async def _not_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            async with self._running():
                await self._app(scope, receive, send)
        else:  # nothing here speaks WebSocket, and nothing may pass unguarded
            await send({"type": "websocket.close", "code": 1008})

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        following = asyncio.create_task(self._keys.follow()) if self._keys else None
        try:
            yield
        finally:
            if following:
                following.cancel()
                with suppress(asyncio.CancelledError):
                    await following
            if self._limits and self._limits.shared:
                await self._limits.shared.close()
            if self._audit:
                self._audit.close()


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise Refusal(404, "not_found", "Nothing is served here")


def _presented(headers: Headers, *, basic: bool) -> bytes:
    """The key that was sent, where `basic` also as a password."""
    if key := headers.get(b"x-api-key"):
        return key
    scheme, _, rest = headers.get(b"authorization", b"").partition(b" ")
    kind = scheme.lower()
    if kind == b"bearer":
        return rest.strip()
    return _password(rest) if basic and kind == b"basic" else b""


def _password(credentials: bytes) -> bytes:
    """Of `user:password` in base64; the user's name does not matter, a key says whose it is."""
    try:
        return binascii.a2b_base64(credentials).partition(b":")[2]
    except binascii.Error:
        return b""


def _unauthorized(message: str, page: bool) -> Refusal:
    how = 'Basic realm="any name, the key as password"' if page else "Bearer"
    return Refusal(401, "unauthorized", message, {"WWW-Authenticate": how})


def _record(scope: Scope, status: int, error: str) -> dict[str, Any]:
    state, caller = scope["state"], scope["state"]["caller"]
    return {
        "caller": caller.id,
        "class": caller.kind,
        "key": caller.key,
        "address": caller.address,
        "method": scope["method"],
        "path": scope["path"] if scope["path"] in _PATHS else "other",
        "status": status,
        "outcome": _outcome(status),
        "error": error,
        "request_id": state.get("request_id", ""),
        "model_version": state.get("model_version", ""),
    }


def _outcome(status: int) -> str:
    if not status:
        return "gone"  # the caller did not wait
    return "answered" if status < 400 else "refused" if status < 500 else "failed"
