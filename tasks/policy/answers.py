"""Whether one answer of an endpoint keeps its contract and comes from the bundle asked for."""

import json
from dataclasses import dataclass
from typing import Any

from tasks.records import Answer

_A2 = {
    "prediction": str,
    "confidence": float,
    "model_version": str,
    "processing_time": float,
    "timestamp": str,
}
_OPTIONAL = {"truncated": bool}


@dataclass(frozen=True, slots=True)
class Asked:
    """One golden text, the key that chose the contract, and the answer."""

    contract: str
    label: str
    answer: Answer

    @property
    def right(self) -> bool:
        """The answer is the label that the test split gives the text."""
        return self.answer.status == 200 and _label(self) == self.label


def objections(one: Asked, labels: tuple[str, ...], version: str, digest: str) -> list[str]:
    """What is wrong with the answer; nothing when it is as it must be."""
    answer = one.answer
    if answer.status != 200:
        return [f"status {answer.status}: {answer.body[:200]}"]
    reasons = []
    if answer.version != version:
        reasons.append(f"answered by version {answer.version or 'unknown'}, not {version}")
    if answer.digest != digest:
        reasons.append(f"answered by bundle {answer.digest[:12] or 'unknown'}, not {digest[:12]}")
    body = _parsed(answer.body)
    if body is None:
        return [*reasons, f"not a JSON object: {answer.body[:200]}"]
    return reasons + (_top(body, labels) if one.contract == "data" else _single(body, labels))


def _single(body: dict[str, Any], labels: tuple[str, ...]) -> list[str]:
    reasons = _shape(body, _A2)
    if isinstance(label := body.get("prediction"), str) and label not in labels:
        reasons.append(f"label {label!r} is not among {list(labels)}")
    return reasons + _share("confidence", body.get("confidence"))


def _top(body: dict[str, Any], labels: tuple[str, ...]) -> list[str]:
    reasons = _shape(body, {"main_category": list, "probabilities": list})
    names, shares = body.get("main_category"), body.get("probabilities")
    if not (isinstance(names, list) and isinstance(shares, list)):
        return reasons
    if not len(names) == len(shares) == min(3, len(labels)):
        reasons.append(f"{len(names)} categories and {len(shares)} probabilities")
    reasons += [
        f"label {name!r} is not among {list(labels)}" for name in names if name not in labels
    ]
    return reasons + [reason for share in shares for reason in _share("probability", share)]


def _shape(body: dict[str, Any], wanted: dict[str, type]) -> list[str]:
    """What is missing, too much or of another type."""
    reasons = [f"key {key!r} is missing" for key in wanted if key not in body]
    allowed = {**wanted, **_OPTIONAL}
    reasons += [f"key {key!r} is not in the contract" for key in body if key not in allowed]
    for key, kind in allowed.items():
        if key in body and type(body[key]) is not kind:
            reasons.append(f"{key} is a {type(body[key]).__name__}, not a {kind.__name__}")
    return reasons


def _share(name: str, value: object) -> list[str]:
    if isinstance(value, float) and not 0 <= value <= 1:
        return [f"{name} {value} is outside 0 to 1"]
    return []


def _label(one: Asked) -> str | None:
    body = _parsed(one.answer.body) or {}
    if one.contract == "text":
        return body.get("prediction")
    top = body.get("main_category")
    return top[0] if isinstance(top, list) and top else None


def _parsed(body: str) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
