"""The formats that SageMaker's batch transform speaks beside JSON: JSON lines and CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from serving import bodies, contract
from serving.bodies import JSON
from serving.contract import Answer, DataRequest, Refusal, TextRequest, TextsRequest

JSON_LINES = "application/jsonlines"
CSV = "text/csv"
KINDS = (JSON, JSON_LINES, CSV)

_HEADER = "text"


@dataclass(frozen=True, slots=True)
class Bulk:
    """The texts of one body, in its order, and what its answer must look like."""

    texts: list[str]
    model_version: str | None = None
    as_data: tuple[bool, ...] = ()
    header: bool = False


def read(body: bytes, kind: str, max_chars: int, max_texts: int) -> Bulk:
    """The texts of a body of JSON lines or CSV; a refusal names the line or row."""
    text = bodies.text_of(body)
    if kind == CSV:
        return _rows(text, max_chars, max_texts)
    return _lines(text, max_chars, max_texts)


def accepted(accept: bytes | None, kind: str) -> str:
    """The media type of the answer: the caller's first that there is, or that of the request."""
    wanted = (accept or b"").decode("latin-1").lower().split(",")
    for name in (part.partition(";")[0].strip() for part in wanted):
        if name in ("", "*/*"):
            return kind
        if name in ("application/*", "text/*"):
            return next(one for one in (kind, *KINDS) if one.startswith(name[:-1]))
        if name in KINDS:
            return name
    raise Refusal(406, "not_acceptable", f"Accept must be one of {', '.join(KINDS)}")


def write(
    kind: str, answers: Sequence[Answer], asked: Bulk, labels: Sequence[str], version: str, s: float
) -> bytes:
    """The answers in the order of the texts, as one JSON object, lines or rows."""
    if kind == JSON:
        return orjson.dumps(contract.texts_answer(answers, version, s))
    if kind == CSV:
        return _csv(answers, asked.header)
    lines: list[object] = [
        contract.data_answer(answer, labels)
        if as_data
        else contract.text_answer(answer, version, s)
        for answer, as_data in zip(answers, asked.as_data or [False] * len(answers), strict=True)
    ]
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)


def _lines(text: str, max_chars: int, max_texts: int) -> Bulk:
    # Not splitlines(): a text may hold U+2028 and the like as they are.
    lines = text.removesuffix("\n").split("\n")
    if len(lines) > max_texts:
        contract.invalid(f"The body must hold 1 to {max_texts} lines, it holds {len(lines)}")
    texts: list[str] = []
    versions: set[str | None] = set()
    as_data: list[bool] = []
    for number, line in enumerate(lines, 1):
        try:
            payload = bodies.parse(line.encode(), "It")
            ask = contract.ask_of(payload, ("text", "data"))
            texts += contract.texts_of(ask, max_chars, 1)
        except Refusal as refusal:
            message = f"line {number}: {refusal.message}"
            raise Refusal(refusal.status, refusal.error, message) from None
        as_data.append(isinstance(ask, DataRequest))
        versions.add(version_of(ask))
    if len(versions) > 1:
        contract.invalid("All lines must name the same model_version or none")
    return Bulk(texts, versions.pop(), tuple(as_data))


def _rows(text: str, max_chars: int, max_texts: int) -> Bulk:
    rows: list[list[str]] = []
    # The reader's own limit is below what may be sent; the body's has held already.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            rows.append(row)
            if len(rows) > max_texts + 1:
                break
    except csv.Error:
        message = f"The body is not valid CSV at line {reader.line_num}"
        raise Refusal(400, "invalid_csv", message) from None
    header = rows[:1] == [[_HEADER]]
    texts = []
    for number, row in enumerate(rows[header:]):
        if len(row) > 1:
            contract.invalid(
                f"rows[{number}]: {len(row)} columns; put a text that holds a comma in quotes"
            )
        texts.append(row[0] if row else "")
    return Bulk(contract.fit_all(texts, max_chars, max_texts, "rows"), header=header)


def _csv(answers: Sequence[Answer], header: bool) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if header:
        writer.writerow(("prediction", "confidence"))
    writer.writerows((answer.label, answer.confidence) for answer in answers)
    return out.getvalue().encode()


def version_of(ask: TextRequest | DataRequest | TextsRequest) -> str | None:
    """The version that the caller pinned."""
    return None if isinstance(ask, DataRequest) else ask.model_version
