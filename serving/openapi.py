"""What /openapi.json says of the routes: shapes, headers, and every way to be refused."""

from collections.abc import Sequence
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
    content: Schema = {JSON: {"schema": shapes[0] if len(shapes) == 1 else {"oneOf": shapes}}}
    sent = dict(_SENT)
    if bulky:
        content[bulk.JSON_LINES] = {"schema": {"type": "string", "minLength": 1}}
        content[bulk.CSV] = {"schema": {"type": "string", "minLength": 1}}
        content[bulk.JSON_LINES]["schema"]["description"] = "Each line as /predict takes it"
        content[bulk.CSV]["schema"]["description"] = "One text a row, perhaps a header `text`"
        sent["Accept"] = f"One of {', '.join(bulk.KINDS)}; the request's own without it"
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
            for name, about in sent.items()
            if name != "Accept"  # OpenAPI ignores it among parameters
        ],
    }


def answered(*models: Any, bulky: bool = False) -> dict[int | str, Schema]:
    """The response 200 of a prediction route."""
    joined = models[0]
    for model in models[1:]:
        joined = joined | model
    told: Schema = {"model": joined, "description": "Answered", "headers": _headers(_ANSWERED)}
    if bulky:
        text = {"schema": {"type": "string"}}
        told["content"] = {bulk.JSON_LINES: text, bulk.CSV: text}
    return {200: told}


def finish(app: FastAPI, *, keys: bool, open_paths: Sequence[str]) -> None:
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
        "description": "Not blank; no control characters but tab, LF and CR",
    }
    return schema


def _headers(about: dict[str, str]) -> Schema:
    return {
        name: {"description": text, "schema": {"type": "string"}} for name, text in about.items()
    }
