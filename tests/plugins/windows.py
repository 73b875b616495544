"""Rows as numbers, made by chance: for the tests of the drift policy."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from tasks.drift_records import Checked
from tasks.policy.signals import Features

NAMES = ("World", "Sports", "Business")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def rows(count: int, seed: int, shares=(0.4, 0.3, 0.3), right: float = 0.9) -> Features:
    """Answers that are right as often as their confidence says, on average `right`."""
    chance = np.random.default_rng(seed)
    labels = chance.choice(3, count, p=shares)
    confidence = chance.beta(right * 20, (1 - right) * 20, count).clip(0.34, 1)
    rest = (1 - confidence) / 2
    probabilities = np.where(labels[:, None] == np.arange(3), confidence[:, None], rest[:, None])
    wrong = chance.random(count) > confidence
    characters = chance.poisson(200, count).astype(float)
    return Features(
        names=NAMES,
        labels=labels,
        confidence=confidence,
        probabilities=probabilities,
        numeric={
            "characters": characters,
            "confidence": confidence,
            "truncated": (chance.random(count) < 0.03).astype(float),
            "unknown_share": np.zeros(count),
        },
        vectors=chance.normal(size=(count, 16)).astype(np.float32),
        truth=np.where(wrong, (labels + 1) % 3, labels),
        total=count,
    )


def moved(found: Features, by: float) -> Features:
    """The same rows with texts from elsewhere."""
    assert found.vectors is not None
    return replace(found, vectors=found.vectors + np.float32(by))


def about(hour: int = 0, version: str = "3") -> Checked:
    """An hour of the version's answers."""
    since = NOON + timedelta(hours=hour)
    return Checked("news", version, f"sha-{version}", since, since + timedelta(hours=1))
