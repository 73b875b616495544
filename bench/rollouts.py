"""How often a rollout is taken back, by simulation: equal versions, and worse ones by how late.

Each rollout draws its requests, errors and slow answers look by look. The rule of
`tasks.policy` looks at both measures and at what callers hear with its shared alpha. The peers look
at the measure of the case alone, from 100 requests of the new version on: the normal mixture SPRT
(tau 0.01, alpha 5 %), a z-test at each look (5 %), and "the new version's share is over the limit".
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench import rollout_answers
from bench.rollout_answers import FIRST, Z
from bench.rollout_cases import EQUAL, EVEN, LESS, OTHER, SAME, WORSE, Case, Heard, Probes, Watch
from tasks.policy.canary import Limits
from tasks.policy.sequential import p_above, p_worse

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FALSE, AIM, CAUGHT = 0.05, 0.02, 0.95
TAU, ALPHA = 0.01, 0.05


@dataclass(frozen=True, slots=True)
class Seen:
    """Bad answers and requests of both sides since the step began: a row per rollout, a column
    per look."""

    new_bad: Ints
    new: Ints
    old_bad: Ints
    old: Ints


def beyond_doubt(seen: Seen, limit: float, level: float) -> Bools:
    """The FAIL of `canary.judge` for one measure, on whole arrays (a test holds them together)."""
    worse = p_worse(seen.new_bad, seen.new, seen.old_bad, seen.old) <= level
    over = p_above(seen.new_bad, seen.new, limit) <= level
    found: Bools = worse | (over & (seen.old_bad <= limit * seen.old))
    return found


def normal_mixture(seen: Seen, limit: float) -> Bools:
    gain, variance = _difference(seen)
    wider = variance + TAU**2
    evidence = np.log(variance / wider) / 2 + (TAU * gain) ** 2 / (2 * variance * wider)
    found: Bools = (gain > 0) & (evidence >= -np.log(ALPHA)) & (seen.new >= FIRST)
    return found


def peeking(seen: Seen, limit: float) -> Bools:
    gain, variance = _difference(seen)
    found: Bools = (gain > Z * np.sqrt(variance)) & (seen.new >= FIRST)
    return found


def threshold(seen: Seen, limit: float) -> Bools:
    found: Bools = (seen.new_bad > limit * seen.new) & (seen.new >= FIRST)
    return found


def _difference(
    seen: Seen,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Of the shares, and its variance if they were equal; a half more of each keeps it over 0."""
    new, old = np.maximum(seen.new, 1), np.maximum(seen.old, 1)
    share = (seen.new_bad + seen.old_bad + 0.5) / (new + old + 1)
    return seen.new_bad / new - seen.old_bad / old, share * (1 - share) * (1 / new + 1 / old)


PEERS: dict[str, Callable[[Seen, float], Bools]] = {
    "normal mixture": normal_mixture,
    "z, peeking": peeking,
    "threshold": threshold,
}


def rollouts(case: Case, count: int, seed: int) -> dict[str, Ints]:
    """By rule and rollout: how many requests the new version had answered when it was taken back,
    -1 where it was not."""
    chance = np.random.default_rng(seed)
    found = {rule: np.full(count, -1) for rule in ("perennial", *PEERS)}
    before = np.zeros(count, dtype=np.int64)
    for step in case.steps:
        requests = _requests(chance, step, count)
        seen = _answered(chance, requests, case.shares)
        other = _answered(chance, requests, case.other)
        level = case.limits.level
        failed = beyond_doubt(seen, case.limit, level)
        failed |= beyond_doubt(other, case.other_limit, level)
        said = rollout_answers.found(chance, rollout_answers.EVEN, requests, case.limits)
        failed |= said["perennial"]
        _note(found["perennial"], failed, seen.new, before)
        for rule, says in PEERS.items():
            _note(found[rule], says(seen, case.limit), seen.new, before)
        before += seen.new[:, -1]
    return found


def _requests(chance: np.random.Generator, step: Watch, count: int) -> tuple[Ints, Ints]:
    new = chance.binomial(step.requests, step.part, (count, step.looks))
    return new, step.requests - new


def _answered(
    chance: np.random.Generator, requests: tuple[Ints, Ints], shares: tuple[float, float]
) -> Seen:
    (new, new_bad), (old, old_bad) = (
        (side.cumsum(axis=1), chance.binomial(side, share).cumsum(axis=1))
        for side, share in zip(requests, shares, strict=True)
    )
    return Seen(new_bad, new, old_bad, old)


def _note(found: Ints, failed: Bools, requests: Ints, before: Ints) -> None:
    rows = np.flatnonzero(failed.any(axis=1) & (found < 0))
    found[rows] = (before + requests[np.arange(len(before)), failed.argmax(axis=1)])[rows]


def answers(case: Probes, count: int, seed: int) -> dict[str, Ints]:
    """As `rollouts`, for probe texts, with a look every 50 of them."""
    chance = np.random.default_rng(seed)
    looks, parts = case.texts // 50, (case.lost, case.won, 1 - case.lost - case.won)
    drawn = chance.multinomial(50, parts, (count, looks))
    losses, wins = drawn[..., 0].cumsum(axis=1), drawn[..., 1].cumsum(axis=1)
    asked = np.broadcast_to(np.arange(1, looks + 1) * 50, losses.shape)
    rules = {
        "perennial": p_above(losses, losses + wins, 0.5) <= Limits().level,
        "z, peeking": (losses - wins > Z * np.sqrt(np.maximum(losses + wins, 1))),
        "threshold": losses - wins > 0.01 * asked,
    }
    found = {rule: np.full(count, -1) for rule in rules}
    for rule, failed in rules.items():
        _note(found[rule], failed & (asked >= FIRST), asked, np.zeros(count, dtype=np.int64))
    return found


def heard(case: Heard, count: int, seed: int) -> dict[str, Ints]:
    """As `rollouts`, for what callers hear."""
    chance = np.random.default_rng(seed)
    found: dict[str, Ints] = {}
    before = np.zeros(count, dtype=np.int64)
    limits = Limits()
    for step in case.steps:
        requests = _requests(chance, step, count)
        said = rollout_answers.found(chance, case.talk, requests, limits)
        for _ in range(2):
            seen = _answered(chance, requests, (case.share, case.share))
            said["perennial"] |= beyond_doubt(seen, 2 * case.share, limits.level)
        new = requests[0].cumsum(axis=1)
        for rule, failed in said.items():
            _note(found.setdefault(rule, np.full(count, -1)), failed, new, before)
        before += new[:, -1]
    return found


def main(arguments: Sequence[str]) -> int:
    """Print the table; 1 with --check when a rate is on the wrong side of its goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args(arguments)
    started = time.perf_counter()
    print(f"{asked.rollouts} rollouts each, seed {asked.seed}; how many are taken back\n")
    rules = "".join(f"{rule:>16}" for rule in ("perennial", *PEERS))
    print(f"{'case':<34}{rules}  goal       median requests of the new version")
    equal = [_row(one.name, rollouts(one, asked.rollouts, asked.seed), "<= 5 %") for one in EQUAL]
    equal += [_row(one.name, heard(one, asked.rollouts, asked.seed), "<= 5 %") for one in SAME]
    equal.append(_row(EVEN.name, answers(EVEN, asked.rollouts, asked.seed), "<= 5 %"))
    worse = [_row(one.name, rollouts(one, asked.rollouts, asked.seed), ">= 95 %") for one in WORSE]
    worse += [_row(one.name, heard(one, asked.rollouts, asked.seed), ">= 95 %") for one in OTHER]
    worse += [_row(one.name, answers(one, asked.rollouts, asked.seed), ">= 95 %") for one in LESS]
    if asked.check:
        took = time.perf_counter() - started
        print(
            f"\nrollouts: equal versions taken back {max(equal):.1%} at most (aim {AIM:.0%}),"
            f" worse ones caught {min(worse):.1%} at least, {took:.0f} s"
        )
    return int(asked.check and (max(equal) > FALSE or min(worse) < CAUGHT))


def _row(name: str, found: dict[str, Ints], goal: str) -> float:
    """Print one case; the share that our rule takes back."""
    rates = {rule: float((when >= 0).mean()) for rule, when in found.items()}
    cells = "".join(
        f"{rates[rule]:>16.1%}" if rule in rates else f"{'':>16}" for rule in ("perennial", *PEERS)
    )
    ours = found["perennial"]
    median = f"{np.median(ours[ours >= 0]):,.0f}" if (ours >= 0).any() else ""
    print(f"{name:<34}{cells}  {goal:<10} {median}", flush=True)
    return rates["perennial"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
