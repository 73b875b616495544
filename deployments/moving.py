"""Callers whose language has moved: what they ask, and what they call the right answer."""

import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from tasks.policy import samples
from tasks.policy.samples import SampleSet

_CALLERS = 4
_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Sent:
    """How many texts were asked, how often rightly answered, and by which versions."""

    texts: int
    right: int
    versions: frozenset[str]

    @property
    def told(self) -> str:
        versions = " and ".join(sorted(self.versions))
        share = self.right / self.texts
        return f"{self.texts} moved texts, {share:.0%} answered right by version {versions}"


def send(url: str, key: str, classifier: str, count: int, seed: int) -> Sent:
    """Ask `count` generated texts of the drifted kind and label each answer by POST /feedback."""
    asked = SampleSet(classifier, count, seed, drifted=True)
    with (
        httpx.Client(
            base_url=url, headers={"X-API-Key": key}, timeout=_TIMEOUT_S, trust_env=False
        ) as client,
        ThreadPoolExecutor(_CALLERS) as callers,
    ):
        answers = list(callers.map(lambda row: _told(client, *row), _rows(asked)))
    right, versions = zip(*answers, strict=True)
    return Sent(count, sum(right), frozenset(versions))


def texts(classifier: str, seed: int) -> Iterable[str]:
    """Such texts without end."""
    asked = SampleSet(classifier, sys.maxsize, seed, drifted=True)
    return (text for text, _ in _rows(asked))


def _rows(asked: SampleSet) -> Iterable[tuple[str, str]]:
    return samples.generate(asked, asked.rows, "callers")


def _told(client: httpx.Client, text: str, label: str) -> tuple[bool, str]:
    """Whether the answer was right, and the version that gave it."""
    answer = client.post("/predict", json={"text": text}).raise_for_status()
    said = {"request_id": answer.headers["X-Request-Id"], "label": label}
    client.post("/feedback", json=said).raise_for_status()
    return answer.json()["prediction"] == label, answer.headers["X-Model-Version"]
