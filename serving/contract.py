"""What callers send and what they get: the shapes, their checks and the refusals."""

import re
import time
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, NoReturn, NotRequired, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import TypedDict  # pydantic refuses that of typing before 3.12

Shape = TypeVar("Shape", bound=BaseModel)

TOP = 3

# Tab, LF and CR are text. So is what Windows' code pages leave behind (U+0080 to U+009F): real
# reviews are full of it.
_CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f"
_CONTROL = re.compile(f"[{_CONTROLS}]")
# The same in the words of JSON schema: no control character, and one letter at least. U+0085 is
# a space to Python, but not in the regular expressions of other languages.
FIT = rf"^[^{_CONTROLS}]*[^{_CONTROLS}\s\x85][^{_CONTROLS}]*$"


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


class FeedbackRequest(_Strict):
    """What the text of an answered request really was."""

    request_id: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:=@/+-]{0,132}$",
        description="the answer's X-Request-Id; behind it `.0`, `.1` ... for texts of a batch",
        examples=["6f1c0a4e9d3b4f5a8c7e2d1b0a9f8e7d"],
    )
    label: str = Field(min_length=1, description="one of the model's", examples=["Business"])


Ask = TextRequest | DataRequest | TextsRequest
SHAPES: dict[str, type[Ask]] = {"text": TextRequest, "data": DataRequest, "texts": TextsRequest}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says of one text; probabilities are in the order of the labels."""

    label: str
    confidence: float
    probabilities: tuple[float, ...]
    truncated: bool


class OnePrediction(TypedDict):
    prediction: str
    confidence: float
    truncated: NotRequired[bool]


class TextAnswer(OnePrediction):
    model_version: str
    processing_time: float
    timestamp: str


class DataAnswer(TypedDict):
    main_category: list[str]
    probabilities: list[float]


class TextsAnswer(TypedDict):
    predictions: list[OnePrediction]
    model_version: str
    processing_time: float
    batch_size: int
    timestamp: str


class FeedbackAnswer(TypedDict):
    request_id: str
    label: str
    status: Literal["accepted"]


class Health(BaseModel, frozen=True):
    status: str
    model_status: str
    timestamp: str
    version: str


class Live(BaseModel, frozen=True):
    status: str
    timestamp: str


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


class ServedVersion(BaseModel, frozen=True):
    version: str
    bundle_digest: str
    weight: float
    ready: bool
    loaded_at: str


class Served(BaseModel, frozen=True):
    primary: str
    versions: list[ServedVersion]
    refused: str


class ErrorBody(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "example": {
                "error": "validation_error",
                "message": "Text length exceeds maximum limit of 512 characters",
                "timestamp": "2026-01-15T10:30:00Z",
                "request_id": "abc123",
            }
        },
    )

    error: str
    message: str
    timestamp: str
    request_id: str


def now() -> str:
    return _at(int(time.time()))


@lru_cache(2)
def _at(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ask_of(payload: Any, allowed: Sequence[str]) -> Ask:
    """The one request shape that the payload's key chooses."""
    if not isinstance(payload, dict):
        invalid(f"The body must be a JSON object with {_either(allowed)}")
    chosen = [key for key in allowed if key in payload]
    if len(chosen) != 1:
        invalid(f"The body must have exactly one of {_either(allowed)}")
    return _shaped(SHAPES[chosen[0]], payload)


def feedback_of(payload: Any) -> FeedbackRequest:
    """The label and the request that it is about."""
    if not isinstance(payload, dict):
        invalid("The body must be a JSON object")
    return _shaped(FeedbackRequest, payload)


def _shaped(shape: type[Shape], payload: dict[str, Any]) -> Shape:
    try:
        return shape.model_validate(payload)
    except ValidationError as error:
        invalid(_message(error, shape))


def texts_of(ask: Ask, max_chars: int, max_texts: int) -> list[str]:
    """The texts to classify, each one fit for the model."""
    if isinstance(ask, TextsRequest):
        return fit_all(ask.texts, max_chars, max_texts)
    return [fit(ask.text if isinstance(ask, TextRequest) else ask.data, max_chars)]


def fit_all(texts: Sequence[str], max_chars: int, max_texts: int, name: str = "texts") -> list[str]:
    """All the texts of one request, each fit for the model; a refusal says which one is not."""
    if not 1 <= len(texts) <= max_texts:
        invalid(f"{name} must hold 1 to {max_texts} texts, it holds {len(texts)}")
    return [fit(text, max_chars, f"{name}[{number}]: ") for number, text in enumerate(texts)]


def fit(text: str, max_chars: int, where: str = "") -> str:
    """The text as the model gets it: the same letters, each written in one way only (NFC)."""
    if len(text) > max_chars:
        invalid(f"{where}Text length exceeds maximum limit of {max_chars} characters")
    if not text or text.isspace():
        invalid(f"{where}Text is empty")
    if not text.isprintable() and (found := _CONTROL.search(text)):
        code = ord(found.group())
        invalid(f"{where}Text holds the control character U+{code:04X} at {found.start()}")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError as error:
        invalid(f"{where}Text holds half of a surrogate pair at {error.start}")
    return unicodedata.normalize("NFC", text)


def data_answer(answer: Answer, labels: Sequence[str]) -> DataAnswer:
    """The likeliest labels first."""
    ranked = sorted(range(len(labels)), key=lambda n: answer.probabilities[n], reverse=True)[:TOP]
    return {
        "main_category": [labels[n] for n in ranked],
        "probabilities": [answer.probabilities[n] for n in ranked],
    }


def text_answer(answer: Answer, model_version: str, seconds: float) -> TextAnswer:
    body: TextAnswer = {
        "prediction": answer.label,
        "confidence": answer.confidence,
        "model_version": model_version,
        "processing_time": round(seconds, 6),
        "timestamp": now(),
    }
    if answer.truncated:
        body["truncated"] = True
    return body


def texts_answer(answers: Sequence[Answer], model_version: str, seconds: float) -> TextsAnswer:
    return {
        "predictions": [one_prediction(answer) for answer in answers],
        "model_version": model_version,
        "processing_time": round(seconds, 6),
        "batch_size": len(answers),
        "timestamp": now(),
    }


def one_prediction(answer: Answer) -> OnePrediction:
    body: OnePrediction = {"prediction": answer.label, "confidence": answer.confidence}
    if answer.truncated:
        body["truncated"] = True
    return body


def invalid(message: str) -> NoReturn:
    raise Refusal(422, "validation_error", message)


def _either(keys: Sequence[str]) -> str:
    return " or ".join(f'"{key}"' for key in keys)


def _message(error: ValidationError, shape: type[BaseModel]) -> str:
    """What is wrong, in our words: field names that the caller made up are the caller's text."""
    problem = error.errors(include_input=False, include_context=False, include_url=False)[0]
    if problem["type"] == "extra_forbidden":
        return f"Unknown field; allowed: {', '.join(shape.model_fields)}"
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
