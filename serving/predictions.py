"""Requests for predictions as plain ASGI: what is asked, of which version, and the answer."""

import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson
from starlette.types import Receive, Scope, Send

from serving import bodies, bulk, contract
from serving.bodies import JSON
from serving.bulk import Bulk
from serving.cache import Cache
from serving.capture import LOGGED
from serving.contract import Answer, Ask, DataRequest, Refusal, TextRequest
from serving.envelope import send_whole
from serving.headers import Headers, headers_of

if TYPE_CHECKING:
    from serving.capture import Capture
    from serving.feedback import Recent
    from serving.settings import ServingSettings
    from serving.versions import Version

Choose = Callable[[str | None, str | None], "Version"]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

# What was asked, and the texts of it as the model gets them.
Asked = tuple[Ask, list[str]]

_ANY = tuple(contract.SHAPES)
_MAX_KEY = 256
# Bodies that are known again, and how large such a one is at most.
_KEPT, _KEPT_BYTES = 1000, 8192


class Predictions:
    """Answers the prediction routes. FastAPI's part in them is to describe them, not to run them:
    it would cost as much as all the rest of a request.
    """

    def __init__(
        self,
        settings: "ServingSettings",
        admit: Callable[[], None],
        choose: Choose,
        confident: Callable[[str, float], None],
        capture: "Capture | None" = None,
        recent: "Recent | None" = None,
    ) -> None:
        """`admit` refuses when the server ends; `confident` is told version and confidence."""
        self._capture = capture
        self._recent = recent
        self._settings = settings
        self._admit = admit
        self._choose = choose
        self._confident = confident
        self.cache: Cache | None = None
        self._read = self._parsed
        if settings.cache_enabled:
            self.cache = Cache(settings.cache_max_size, settings.cache_ttl_s)
            # The same bytes are the same request: who asks again is not read and checked again.
            self._read = lru_cache(_KEPT)(self._parsed)

    def of(self, keys: tuple[str, ...]) -> Handler:
        """The handler of a route that takes JSON with one of these keys."""

        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            began = time.monotonic()
            self._admit()
            headers = headers_of(scope)
            bodies.kind_of(headers)
            asked = await self._asked(receive, headers, keys)
            await self._answer(scope, send, asked, headers, began)

        return handle

    async def invocations(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The route that SageMaker calls: any shape of JSON, JSON lines or CSV."""
        began = time.monotonic()
        self._admit()
        headers = headers_of(scope)
        kind = bodies.kind_of(headers, bulk.KINDS)
        wanted = bulk.accepted(headers.get(b"accept"), kind)
        if kind == wanted == JSON:
            one = await self._asked(receive, headers, _ANY)
            await self._answer(scope, send, one, headers, began)
            return
        asked = await self._bulk(receive, headers, kind)
        version, answers, extra = await self._classify(
            scope, headers, asked.texts, asked.model_version, began
        )
        seconds = time.monotonic() - began
        labels = version.manifest.labels
        body = bulk.write(wanted, answers, asked, labels, version.name, seconds)
        if any(answer.truncated for answer in answers):
            extra.append((b"x-truncated", b"true"))
        await send_whole(send, 200, wanted.encode(), body, extra)

    async def _asked(self, receive: Receive, headers: Headers, keys: tuple[str, ...]) -> Asked:
        body = await bodies.read(receive, headers, self._settings.max_body_bytes)
        return self._read(body, keys) if len(body) <= _KEPT_BYTES else self._parsed(body, keys)

    def _parsed(self, body: bytes, keys: tuple[str, ...]) -> Asked:
        ask = contract.ask_of(bodies.parse(body), keys)
        return ask, contract.texts_of(ask, self._settings.max_chars, self._settings.max_texts)

    async def _bulk(self, receive: Receive, headers: Headers, kind: str) -> Bulk:
        settings = self._settings
        if kind == JSON:
            ask, texts = await self._asked(receive, headers, _ANY)
            as_data = (isinstance(ask, DataRequest),) * len(texts)
            return Bulk(texts, bulk.version_of(ask), as_data)
        body = await bodies.read(receive, headers, settings.max_body_bytes)
        return bulk.read(body, kind, settings.max_chars, settings.max_texts)

    async def _answer(
        self, scope: Scope, send: Send, asked: Asked, headers: Headers, began: float
    ) -> None:
        ask, texts = asked
        version, answers, extra = await self._classify(
            scope, headers, texts, bulk.version_of(ask), began
        )
        body: Any
        if isinstance(ask, DataRequest):
            body = contract.data_answer(answers[0], version.manifest.labels)
            if answers[0].truncated:  # the shape has no place for it
                extra.append((b"x-truncated", b"true"))
        elif isinstance(ask, TextRequest):
            body = contract.text_answer(answers[0], version.name, time.monotonic() - began)
        else:
            body = contract.texts_answer(answers, version.name, time.monotonic() - began)
        await send_whole(send, 200, b"application/json", orjson.dumps(body), extra)

    async def _classify(
        self, scope: Scope, headers: Headers, texts: list[str], wanted: str | None, began: float
    ) -> "tuple[Version, list[Answer], list[tuple[bytes, bytes]]]":
        """The version that answers, its answers, and headers that say how it came to them."""
        deadline = began + _seconds(headers, self._settings.request_timeout_s)
        version = self._choose(wanted, _routing_key(headers))
        scope["state"].update(model_version=version.name, bundle_digest=version.digest)
        known = self.cache.get(version.digest, texts) if self.cache else [None] * len(texts)
        missing: list[str] = []
        if not all(known):
            missing = [text for text, answer in zip(texts, known, strict=True) if answer is None]
            computed = await _compute(scope, version, missing, deadline)
            if self.cache:
                self.cache.put(version.digest, missing, computed)
            rest = iter(computed)
            answers = [answer or next(rest) for answer in known]
        else:
            answers = [answer for answer in known if answer]
        for answer in answers:
            self._confident(version.name, answer.confidence)
        told = [(b"x-cache", b"miss" if missing else b"hit")] if self.cache else []
        if self._capture:
            request_id = scope["state"]["request_id"]
            if self._capture.log(request_id, headers, version, texts, answers, began):
                told.append(LOGGED)
                if self._recent:
                    self._recent.answered(request_id, version.name, answers)
        return version, answers, told


async def _compute(
    scope: Scope, version: "Version", texts: list[str], deadline: float
) -> list[Answer]:
    connection = scope.get("extensions", {}).get("connection")
    gone = connection.is_closing if connection else _never
    done = await version.pool.classify(texts, deadline=deadline, gone=gone)
    scope["state"].setdefault("timings", {}).update(
        queue=done.queue_s, tokenize=done.tokenize_s, infer=done.infer_s
    )
    return done.answers


def _never() -> bool:
    return False


def _seconds(headers: Headers, most: float) -> float:
    """How long the caller is willing to wait."""
    given = headers.get(b"x-request-timeout-ms")
    if given is None:
        return most
    most_ms = int(most * 1000)
    if not (given.isdigit() and len(given) <= 9 and 1 <= int(given) <= most_ms):
        message = f"X-Request-Timeout-Ms must be a whole number from 1 to {most_ms}"
        raise Refusal(422, "validation_error", message)
    return int(given) / 1000


def _routing_key(headers: Headers) -> str | None:
    """What keeps a caller with one version while several share the traffic."""
    given = headers.get(b"x-routing-key")
    if given is None:
        return None
    if not 1 <= len(given) <= _MAX_KEY:
        contract.invalid(f"X-Routing-Key must hold 1 to {_MAX_KEY} characters")
    return given.decode("latin-1")
