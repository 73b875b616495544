"""Callers whose language has moved: what they ask, and what they call the right answer."""

import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from tasks.policy import samples
from tasks.policy.samples import SampleSet

_SEED = 11
_CALLERS = 4
_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Sent:
    """How many texts were asked, and how often the answer was what its caller called right."""

    texts: int
    right: int


def send(url: str, key: str, classifier: str, count: int) -> Sent:
    """Ask `count` generated texts of the drifted kind and label each answer by POST /feedback."""
    asked = SampleSet(classifier, count, _SEED, drifted=True)
    with (
        httpx.Client(
            base_url=url, headers={"X-API-Key": key}, timeout=_TIMEOUT_S, trust_env=False
        ) as client,
        ThreadPoolExecutor(_CALLERS) as callers,
    ):
        right = callers.map(lambda row: _told(client, *row), _rows(asked))
        return Sent(count, sum(right))


def texts(classifier: str) -> Iterable[str]:
    """Such texts without end, others than `send` asks."""
    asked = SampleSet(classifier, sys.maxsize, _SEED + 1, drifted=True)
    return (text for text, _ in _rows(asked))


def _rows(asked: SampleSet) -> Iterable[tuple[str, str]]:
    return samples.generate(asked, asked.rows, "callers")


def _told(client: httpx.Client, text: str, label: str) -> bool:
    answer = client.post("/predict", json={"text": text}).raise_for_status()
    said = {"request_id": answer.headers["X-Request-Id"], "label": label}
    client.post("/feedback", json=said).raise_for_status()
    return bool(answer.json()["prediction"] == label)
