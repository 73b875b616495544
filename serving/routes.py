"""Which path leads where. The paths that are asked often go past FastAPI, which describes them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import FastAPI, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from serving import contract, gauges, openapi, scrape
from serving.contract import Refusal
from serving.envelope import on_refusal, on_unexpected
from serving.feedback import PATH, Feedback
from serving.guard import PROBES
from serving.pages import PATHS, Pages
from serving.predictions import Handler, Predictions

if TYPE_CHECKING:
    from serving.endpoint import Endpoint


class Router:
    """ASGI layer that answers the paths it knows and passes on all others."""

    def __init__(self, app: ASGIApp, handlers: Mapping[tuple[str, str], Handler]) -> None:
        self._app = app
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            handler = self._handlers.get((scope["method"], scope["path"]))
            if handler:
                scope["route"] = scope["path"]  # a path of ours: it may be logged
                await handler(scope, receive, send)
                return
        await self._app(scope, receive, send)


def handlers(endpoint: "Endpoint") -> dict[tuple[str, str], Handler]:
    """What the Router answers by itself."""
    predictions = Predictions(
        endpoint.settings,
        endpoint.admit,
        endpoint.versions.choose,
        endpoint.metrics.confident,
        endpoint.capture,
        endpoint.recent,
    )
    feedback = Feedback(endpoint.capture, endpoint.admit, endpoint.labels, endpoint.recent)
    feedback.tell(endpoint.metrics)
    if predictions.cache:
        gauges.add_cache(endpoint.metrics, predictions.cache)
    pages = Pages(endpoint.app.title, endpoint.app.openapi_url)
    return {
        ("POST", "/predict"): predictions.of(("text", "data")),
        ("POST", "/predict/batch"): predictions.of(("texts",)),
        ("POST", "/invocations"): feedback.or_else(predictions.invocations),
        ("POST", PATH): feedback,
        **{("GET", path): pages for path in PATHS},
    }


def add(endpoint: "Endpoint") -> None:
    """Put every route on the endpoint's app, which thereby describes them."""
    app: FastAPI = endpoint.app
    app.add_exception_handler(Refusal, on_refusal)
    app.add_exception_handler(HTTPException, on_refusal)
    app.add_exception_handler(Exception, on_unexpected)  # Starlette raises it again: it is logged
    _describe_predictions(endpoint)
    app.add_api_route(PATH, _never, methods=["POST"], **openapi.feedback())
    _add_probes(app, endpoint)
    _add_model(app, endpoint)
    if endpoint.settings.enable_metrics and not endpoint.settings.prometheus_port:

        @app.get(
            "/metrics",
            tags=["model"],
            summary="Prometheus metrics",
            response_class=Response,
            responses=openapi.refusals(401, 429),
        )
        async def metrics() -> Response:
            """Prometheus text."""
            return Response(endpoint.metrics.text(), media_type=scrape.KIND)

    openapi.finish(app, keys=endpoint.settings.auth == "keys", open_paths=PROBES)


def _describe_predictions(endpoint: "Endpoint") -> None:
    def describe(path: str, keys: Sequence[str], summary: str, about: str) -> None:
        bulky = path == "/invocations"
        statuses = (400, 401, 404, 408, 413, 415, 422, 429, 500, 503, 504)

        endpoint.app.add_api_route(
            path,
            _never,
            methods=["POST"],
            tags=["predictions"],
            summary=summary,
            description=about,
            operation_id=path.strip("/").replace("/", "_"),
            responses=openapi.answered(keys, bulky=bulky)
            | openapi.refusals(*statuses, *((406,) if bulky else ())),
            openapi_extra=openapi.prediction(keys, endpoint.settings, bulky=bulky),
        )

    describe(
        "/predict",
        ("text", "data"),
        "Classify one text",
        "`text` is answered with its label, `data` with its three likeliest labels.",
    )
    describe("/predict/batch", ("texts",), "Classify several texts", "Answers in their order.")
    describe(
        "/invocations",
        ("text", "data", "texts"),
        "SageMaker's InvokeEndpoint and batch transform",
        "The answer is of the media type in `Accept`, without one of the request's own.",
    )


async def _never() -> None:
    raise AssertionError("the Router answers this path")


def _add_probes(app: FastAPI, endpoint: "Endpoint") -> None:
    @app.get(
        "/health",
        tags=["health"],
        summary="Are predictions answered?",
        responses={code: {"model": contract.Health} for code in (200, 503)},
    )
    async def health() -> Response:
        """Whether predictions are answered: 503 until the model is warm, and while it drains."""
        status = endpoint.status
        body = contract.Health(
            status=status,
            model_status=status,
            timestamp=contract.now(),
            version=endpoint.version,
        )
        return _json(body.model_dump(), 200 if endpoint.ready else 503)

    @app.get(
        "/health/live",
        tags=["health"],
        summary="Does the process answer at all?",
        responses={200: {"model": contract.Live}},
    )
    async def live() -> Response:
        """Whether the process answers at all; restart it when it does not."""
        return _json(contract.Live(status="alive", timestamp=contract.now()).model_dump())

    @app.get(
        "/ping",
        tags=["health"],
        summary="SageMaker's health check",
        response_class=Response,
        responses=openapi.refusals(503),
    )
    async def ping() -> Response:
        """SageMaker's health check."""
        endpoint.refuse_unless_ready()
        return Response()


def _add_model(app: FastAPI, endpoint: "Endpoint") -> None:
    @app.get(
        "/model/versions",
        tags=["model"],
        summary="Which versions answer, in which shares",
        responses={200: {"model": contract.Served}, **openapi.refusals(401, 429)},
    )
    async def model_versions() -> Response:
        """Which versions answer in which shares, and why the newest plan is not followed, if so."""
        return _json(endpoint.served().model_dump())

    @app.get(
        "/model/info",
        tags=["model"],
        summary="Which model answers",
        responses={200: {"model": contract.ModelInfo}, **openapi.refusals(401, 429, 503)},
    )
    async def model_info() -> Response:
        """Which model answers."""
        endpoint.refuse_unless_ready()
        return _json(endpoint.info().model_dump())


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")
