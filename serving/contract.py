"""What callers send and what they get: the shapes, their checks and the refusals."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, ValidationError

TOP = 3


class Refusal(Exception):
    """A request that is not answered; becomes the error body. Never quotes the caller's text."""

    def __init__(
        self, status: int, error: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message
        self.headers = headers or {}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TextRequest(_Strict):
    text: str
    model_version: str | None = None


class DataRequest(_Strict):
    data: str


class TextsRequest(_Strict):
    texts: list[str]
    model_version: str | None = None


Ask = TextRequest | DataRequest | TextsRequest
SHAPES: dict[str, type[Ask]] = {"text": TextRequest, "data": DataRequest, "texts": TextsRequest}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says of one text; probabilities are in the order of the labels."""

    label: str
    confidence: float
    probabilities: tuple[float, ...]
    truncated: bool


class TextAnswer(BaseModel, frozen=True):
    prediction: str
    confidence: float
    model_version: str
    processing_time: float
    timestamp: str
    truncated: bool | None = None


class DataAnswer(BaseModel, frozen=True):
    main_category: list[str]
    probabilities: list[float]


class OnePrediction(BaseModel, frozen=True):
    prediction: str
    confidence: float
    truncated: bool | None = None


class TextsAnswer(BaseModel, frozen=True):
    predictions: list[OnePrediction]
    model_version: str
    processing_time: float
    batch_size: int
    timestamp: str


class Health(BaseModel, frozen=True):
    status: str
    model_status: str
    timestamp: str
    version: str


class ModelParameters(BaseModel, frozen=True):
    total_parameters: int
    model_size_mb: float


class ModelInfo(BaseModel, frozen=True):
    name: str
    version: str
    task: str
    loaded_at: str
    engine: str
    parameters: ModelParameters


class ErrorBody(BaseModel, frozen=True):
    error: str
    message: str
    timestamp: str
    request_id: str


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(body: bytes) -> Any:
    """The JSON value in the body, strictly as RFC 8259 has it."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise Refusal(400, "invalid_json", "The body is nested too deeply") from None
    except ValueError:  # not UTF-8, not JSON, or a number of thousands of digits
        raise Refusal(400, "invalid_json", "The body is not valid JSON in UTF-8") from None


def ask_of(payload: Any, allowed: Sequence[str]) -> Ask:
    """The one request shape that the payload's key chooses."""
    keys = " or ".join(f'"{key}"' for key in allowed)
    if not isinstance(payload, dict):
        _invalid(f"The body must be a JSON object with {keys}")
    chosen = [key for key in allowed if key in payload]
    if len(chosen) != 1:
        _invalid(f"The body must have exactly one of {keys}")
    shape = SHAPES[chosen[0]]
    try:
        return shape.model_validate(payload)
    except ValidationError as error:
        _invalid(_message(error, shape))


def texts_of(ask: Ask, max_chars: int, max_texts: int) -> list[str]:
    """The texts to classify, each one fit for the model."""
    if not isinstance(ask, TextsRequest):
        text = ask.text if isinstance(ask, TextRequest) else ask.data
        _check(text, max_chars, "")
        return [text]
    if not 1 <= len(ask.texts) <= max_texts:
        _invalid(f"texts must hold 1 to {max_texts} texts, it holds {len(ask.texts)}")
    for number, text in enumerate(ask.texts):
        _check(text, max_chars, f"texts[{number}]: ")
    return ask.texts


def data_answer(answer: Answer, labels: Sequence[str]) -> DataAnswer:
    """The likeliest labels first."""
    ranked = sorted(range(len(labels)), key=lambda n: answer.probabilities[n], reverse=True)[:TOP]
    return DataAnswer(
        main_category=[labels[n] for n in ranked],
        probabilities=[answer.probabilities[n] for n in ranked],
    )


def text_answer(answer: Answer, model_version: str, seconds: float) -> TextAnswer:
    return TextAnswer(
        prediction=answer.label,
        confidence=answer.confidence,
        model_version=model_version,
        processing_time=round(seconds, 6),
        timestamp=now(),
        truncated=answer.truncated or None,
    )


def texts_answer(answers: Sequence[Answer], model_version: str, seconds: float) -> TextsAnswer:
    return TextsAnswer(
        predictions=[
            OnePrediction(
                prediction=answer.label,
                confidence=answer.confidence,
                truncated=answer.truncated or None,
            )
            for answer in answers
        ],
        model_version=model_version,
        processing_time=round(seconds, 6),
        batch_size=len(answers),
        timestamp=now(),
    )


def _check(text: str, max_chars: int, where: str) -> None:
    if len(text) > max_chars:
        _invalid(f"{where}Text length exceeds maximum limit of {max_chars} characters")
    if not text.strip():
        _invalid(f"{where}Text is empty")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        _invalid(f"{where}Text holds half of a surrogate pair")


def _message(error: ValidationError, shape: type[Ask]) -> str:
    """What is wrong, in our words: field names that the caller made up are the caller's text."""
    problem = error.errors(include_input=False, include_context=False, include_url=False)[0]
    if problem["type"] == "extra_forbidden":
        return f"Unknown field; allowed: {', '.join(shape.model_fields)}"
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"


def _invalid(message: str) -> NoReturn:
    raise Refusal(422, "validation_error", message)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
