"""Windows for `bench.drift_quality`: what differs from the reference in each, and how often it must
be found."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from bench.drift_data import MODELS
from tasks.policy.signals import Features, joined

Chance = np.random.Generator
Draw = Callable[[Features, Features | None, int, Chance], Features]


@dataclass(frozen=True, slots=True)
class Case:
    """Windows of `rows` drawn from held-back rows of the model and those of another set."""

    name: str
    model: str
    other: str | None
    rows: int
    draw: Draw
    at_least: float | None = None  # of the windows DETECTED
    at_most: float | None = None
    harmless: bool = False  # never "yes, it hurts", never retrained


def same(own: Features, _: Features | None, rows: int, chance: Chance) -> Features:
    return own.take(chance.permutation(len(own))[:rows])


def repeated(own: Features, _: Features | None, rows: int, chance: Chance) -> Features:
    """A third as many texts, some asked twenty times."""
    texts = chance.permutation(len(own))[: max(rows // 3, 50)]
    return own.take(np.repeat(texts, chance.geometric(1 / 3, len(texts))))


def elsewhere(_: Features, other: Features | None, rows: int, chance: Chance) -> Features:
    assert other is not None
    return other.take(chance.permutation(len(other))[:rows])


def mixed(share: float) -> Draw:
    def draw(own: Features, other: Features | None, rows: int, chance: Chance) -> Features:
        foreign = chance.binomial(rows, share)
        sides = same(own, None, rows - foreign, chance), elsewhere(own, other, foreign, chance)
        # Without words, which nothing here looks at, and truth, which only one side may have.
        return joined([replace(side, terms={}, truth=None, total=len(side)) for side in sides])

    return draw


def twice(label: str) -> Draw:
    def draw(own: Features, _: Features | None, rows: int, chance: Chance) -> Features:
        assert own.truth is not None
        weight = np.where(own.truth == own.names.index(label), 2.0, 1.0)
        return own.take(chance.choice(len(own), rows, replace=False, p=weight / weight.sum()))

    return draw


def cases() -> list[Case]:
    """Bars first, then what is told only."""
    none = [
        Case(f"none{name}", "news", None, rows, draw, at_most=0.01)
        for name, draw in (("", same), (", repeats", repeated))
        for rows in (50, 500, 5000)
    ]
    shares = [
        Case(f"{label} x2", "news", None, 500, twice(label), at_least=0.95)
        for label in MODELS["news"].labels
    ]
    domains = [
        Case(f"books -> {name}", "books", name, 500, elsewhere, at_least=0.95)
        for name in ("electronics", "kitchen_housewares", "software")
    ]
    return [
        *none,
        *domains,
        *shares,
        Case("drifted words", "sample", "sample-drifted", 500, elsewhere, at_least=0.95),
        Case("10 % books", "news", "books", 2000, mixed(0.1), at_least=0.9),
        Case("30 % books", "news", "books", 500, mixed(0.3), at_least=0.99),
        Case("10 % books", "news", "books", 500, mixed(0.1)),
        Case("none, books", "books", None, 300, same),
        Case(
            "electronics -> kitchen",
            "electronics",
            "kitchen_housewares",
            500,
            elsewhere,
            harmless=True,
        ),
        Case(
            "electronics -> kitchen",
            "electronics",
            "kitchen_housewares",
            1900,
            elsewhere,
            harmless=True,
        ),
        Case("electronics -> software", "electronics", "software", 500, elsewhere),
        Case("electronics -> books", "electronics", "books", 500, elsewhere),
    ]
