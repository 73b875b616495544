"""The HTTP routes; all of them share the one model behind `Endpoint.classify`."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from serving import contract
from serving.contract import Refusal
from serving.envelope import on_refusal

if TYPE_CHECKING:
    from serving.endpoint import Endpoint

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": contract.ErrorBody} for status in (400, 404, 413, 415, 422, 500, 503)
}


def add(endpoint: "Endpoint") -> None:
    """Put every route on the endpoint's app."""
    app: FastAPI = endpoint.app
    app.add_exception_handler(Refusal, on_refusal)
    app.add_exception_handler(HTTPException, on_refusal)
    _add_predictions(endpoint)
    _add_probes(endpoint)

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Prometheus text."""
        return Response(endpoint.metrics.text(), media_type="text/plain; version=0.0.4")


def _add_predictions(endpoint: "Endpoint") -> None:
    def add_route(path: str, keys: Sequence[str], answers: Any, about: str) -> None:
        async def predict(request: Request) -> Response:
            return await _predict(endpoint, request, keys)

        endpoint.app.add_api_route(
            path,
            predict,
            methods=["POST"],
            summary=about,
            operation_id=path.strip("/").replace("/", "_"),
            responses={200: {"model": answers}, **_ERRORS},
            openapi_extra=_body_schema(keys),
        )

    add_route(
        "/predict",
        ("text", "data"),
        contract.TextAnswer | contract.DataAnswer,
        "Classify one text; the key of the request chooses the shape of the answer",
    )
    add_route("/predict/batch", ("texts",), contract.TextsAnswer, "Classify several texts")
    add_route(
        "/invocations",
        ("text", "data", "texts"),
        contract.TextAnswer | contract.DataAnswer | contract.TextsAnswer,
        "What SageMaker's InvokeEndpoint calls",
    )


def _add_probes(endpoint: "Endpoint") -> None:
    app: FastAPI = endpoint.app

    @app.get("/health", responses={200: {"model": contract.Health}, 503: {}})
    async def health() -> Response:
        """Whether predictions are answered."""
        status = endpoint.status
        body = contract.Health(
            status=status,
            model_status=status,
            timestamp=contract.now(),
            version=endpoint.settings.model_version,
        )
        return _json(body, 200 if endpoint.ready else 503)

    @app.get("/ping", responses={503: {"model": contract.ErrorBody}})
    async def ping() -> Response:
        """SageMaker's health check."""
        endpoint.refuse_unless_ready()
        return Response()

    @app.get("/model/info", responses={200: {"model": contract.ModelInfo}, **_ERRORS})
    async def model_info() -> Response:
        """Which model answers."""
        endpoint.refuse_unless_ready()
        return _json(endpoint.info())


async def _predict(endpoint: "Endpoint", request: Request, keys: Sequence[str]) -> Response:
    began = time.perf_counter()
    settings = endpoint.settings
    body = await _json_body(request, settings.max_body_bytes)
    ask = contract.ask_of(contract.parse(body), keys)
    texts = contract.texts_of(ask, settings.max_chars, settings.max_texts)
    wanted = None if isinstance(ask, contract.DataRequest) else ask.model_version
    if wanted not in (None, settings.model_version):
        raise Refusal(
            404,
            "model_version_not_found",
            f"This endpoint serves model version {settings.model_version} only",
        )
    endpoint.refuse_unless_ready()
    answers = await endpoint.classify(texts)
    for answer in answers:
        endpoint.metrics.confident(settings.model_version, answer.confidence)
    if isinstance(ask, contract.DataRequest):
        return _json(contract.data_answer(answers[0], endpoint.manifest.labels))
    seconds = time.perf_counter() - began
    if isinstance(ask, contract.TextRequest):
        return _json(contract.text_answer(answers[0], settings.model_version, seconds))
    return _json(contract.texts_answer(answers, settings.model_version, seconds))


async def _json_body(request: Request, limit: int) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("", "application/json"):
        raise Refusal(415, "unsupported_media_type", "Content-Type must be application/json")
    too_large = Refusal(413, "payload_too_large", f"The body exceeds {limit} bytes")
    if int(request.headers.get("content-length", "0")) > limit:
        raise too_large
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise too_large
    except ClientDisconnect:
        raise Refusal(400, "incomplete_body", "The connection ended within the body") from None
    return bytes(body)


def _json(body: BaseModel, status: int = 200) -> JSONResponse:
    return JSONResponse(body.model_dump(exclude_none=True), status)


def _body_schema(keys: Sequence[str]) -> dict[str, Any]:
    shapes = [contract.SHAPES[key].model_json_schema() for key in keys]
    schema = shapes[0] if len(shapes) == 1 else {"oneOf": shapes}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
