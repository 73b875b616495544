"""What /openapi.json says of the routes: shapes, headers, and every way to be refused."""

from collections.abc import Collection, Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from serving import bulk, contract
from serving.bodies import JSON

if TYPE_CHECKING:
    from serving.settings import ServingSettings

Schema = dict[str, Any]

_REFUSALS = {
    400: "Not JSON, not UTF-8, not CSV, or cut off",
    401: "No key, or one that is not valid",
    404: "No such model version",
    406: "None of the accepted media types can be given",
    408: "The request came too slowly",
    413: "The body is too large",
    415: "The body's media type is not taken",
    422: "Well-formed, but not what the shape allows",
    429: "Too many requests; `Retry-After` says when to come back",
    500: "The model could not answer",
    503: "Starting, draining, failed or overloaded; `Retry-After` says when to come back",
    504: "No answer before the deadline",
}
_WAIT = {"Retry-After": "Seconds to wait", "retry-after-ms": "The same in milliseconds"}
_TOLD = {
    "X-Request-Id": "The caller's own when it sent a sane one",
    "X-Model-Version": "The version that answered",
    "X-Bundle-Digest": "SHA-256 of the manifest of that version's bundle",
}
_ANSWERED = {
    **_TOLD,
    "X-Cache": "hit: all answers were known; absent when nothing is cached",
    "X-Logged": "true when the answer is in the prediction log",
    "X-Truncated": "true when tokens were cut and the body has no place to say so",
    "Server-Timing": "On `X-Server-Timing: 1`: milliseconds in queue, tokenize, infer, total",
}
_SENT = {
    "X-Request-Timeout-Ms": "How long the caller waits; then 504",
    "X-Routing-Key": "The same key gets the same version while several share the traffic",
    "X-Request-Id": "Comes back in the answer and the log",
    "X-Server-Timing": "1: the answer says where its time went",
}
_KEYS = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}


_TEXT = "Stocks rallied after the central bank kept interest rates unchanged"
_TEXTS = [_TEXT, "The team won the cup, at last"]
_SAYS: Schema = {"prediction": "Business", "confidence": 0.95}
_ABOUT: Schema = {
    "model_version": "v1.0.0",
    "processing_time": 0.012,
    "timestamp": "2026-01-15T10:30:00Z",
}
_ASKED: dict[str, Schema] = {
    "text": {"text": _TEXT},
    "data": {"data": _TEXT},
    "texts": {"texts": _TEXTS},
}
_ANSWERS: dict[str, Schema] = {
    "text": {**_SAYS, **_ABOUT},
    "data": {
        "main_category": ["Business", "World", "Sci/Tech"],
        "probabilities": [0.95, 0.03, 0.01],
    },
    "texts": {
        "predictions": [_SAYS, {"prediction": "Sports", "confidence": 0.97}],
        **_ABOUT,
        "batch_size": 2,
    },
}
_MODELS: dict[str, Any] = {
    "text": contract.TextAnswer,
    "data": contract.DataAnswer,
    "texts": contract.TextsAnswer,
}
_LINES = "".join(f'{{"text": "{text}"}}\n' for text in _TEXTS)
_ROWS = "".join(f'"{text}"\n' for text in _TEXTS)


def refusals(*statuses: int) -> dict[int | str, Schema]:
    """The responses of a route that may refuse with these statuses."""
    return {
        status: {
            "model": contract.ErrorBody,
            "description": _REFUSALS[status],
            "headers": _headers(_TOLD | (_WAIT if status in (429, 503) else {})),
        }
        for status in statuses
    }


def prediction(keys: Sequence[str], settings: "ServingSettings", *, bulky: bool) -> Schema:
    """Parameters and body of a prediction route; a bulky one takes JSON lines and CSV too."""
    shapes = [_shape(key, settings) for key in keys]
    content: Schema = {
        JSON: {
            "schema": shapes[0] if len(shapes) == 1 else {"oneOf": shapes},
            "examples": {key: {"value": _ASKED[key]} for key in keys},
        }
    }
    if bulky:
        content[bulk.JSON_LINES] = _plain("Each line as /predict takes it", _LINES)
        content[bulk.CSV] = _plain("One text a row, perhaps a header `text`", _ROWS)
    limits = {
        "X-Request-Timeout-Ms": {
            "type": "integer",
            "minimum": 1,
            "maximum": int(settings.request_timeout_s * 1000),
        },
        "X-Routing-Key": {"type": "string", "minLength": 1, "maxLength": 256},
    }
    return {
        "requestBody": {"required": True, "content": content},
        "parameters": [
            {
                "name": name,
                "in": "header",
                "description": about,
                "schema": limits.get(name, {"type": "string"}),
            }
            for name, about in _SENT.items()
        ],
    }


def answered(keys: Sequence[str], *, bulky: bool) -> dict[int | str, Schema]:
    """The response 200 of a prediction route: the request's key chooses its shape."""
    content: Schema = {JSON: {"examples": {key: {"value": _ANSWERS[key]} for key in keys}}}
    if bulky:
        content[bulk.JSON_LINES] = _plain("Each line as /predict answers it")
        content[bulk.CSV] = _plain("Label and confidence, a row for each row")
    return {
        200: {
            "model": reduce(or_, (_MODELS[key] for key in keys)),
            "description": "Answered; `truncated` is there, and true, when tokens were cut",
            "headers": _headers(_ANSWERED),
            "content": content,
        }
    }


def feedback() -> Schema:
    """The route that takes labels, but for its path."""
    told = refusals(400, 401, 408, 413, 415, 422, 429, 500, 503)
    told[503]["description"] = "The label is not written down: no log is kept here, or it is full"
    schema = contract.FeedbackRequest.model_json_schema()
    return {
        "tags": ["feedback"],
        "summary": "Say what a text really was",
        "description": "At any time after the answer. The last label of a request counts; the same"
        " again changes nothing.",
        "operation_id": "feedback",
        "status_code": 202,
        "responses": told
        | {202: {"model": contract.FeedbackAnswer, "description": "The label is written down"}},
        "openapi_extra": {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}},
    }


def finish(app: FastAPI, *, keys: bool, open_paths: Collection[str]) -> None:
    """Say which routes need a key; that is the guard's doing, which FastAPI knows nothing of."""
    plain = app.openapi

    def openapi() -> Schema:
        made = plain()
        if keys:
            made.setdefault("components", {})["securitySchemes"] = _KEYS
            for path, methods in made["paths"].items():
                if path not in open_paths:
                    for method in methods.values():
                        method["security"] = [{name: []} for name in _KEYS]
        return made

    app.openapi = openapi  # type: ignore[method-assign]


def _shape(key: str, settings: "ServingSettings") -> Schema:
    schema = contract.SHAPES[key].model_json_schema()
    field = schema["properties"][key]
    if key == "texts":
        field |= {"minItems": 1, "maxItems": settings.max_texts}
        field = field["items"]
    field |= {
        "minLength": 1,
        "maxLength": settings.max_chars,
        "pattern": contract.FIT,
        "description": "Not blank; no control characters but tab, LF and CR",
    }
    return schema


def _plain(about: str, example: str | None = None) -> Schema:
    told: Schema = {"schema": {"type": "string", "minLength": 1, "description": about}}
    return told | ({"example": example} if example else {})


def _headers(about: dict[str, str]) -> Schema:
    return {
        name: {"description": text, "schema": {"type": "string"}} for name, text in about.items()
    }
