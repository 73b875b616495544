"""What callers hear in the rollouts that `bench.rollouts` simulates, and the rule on it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.policy.canary import Limits
from tasks.policy.heard import Counts, p_values

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Shares = tuple[float, ...]

Z, FIRST = 1.645, 100
_AT_ONCE = 250  # rollouts; all looks of so many are in memory


@dataclass(frozen=True, slots=True)
class Talk:
    """Of the different texts: shares of the labels and of unsure answers, new's and old's.

    `later`: the labels' shares from the middle of the step on, of both versions.
    """

    new: Shares = (0.25,) * 4
    old: Shares = (0.25,) * 4
    unsure: tuple[float, float] = (0.1, 0.1)
    later: Shares = ()


EVEN = Talk()


def found(
    chance: np.random.Generator, talk: Talk, requests: tuple[Ints, Ints], limits: Limits
) -> dict[str, Bools]:
    """By rule, rollout and look: whether it takes the new version back."""
    parts = range(0, len(requests[0]), _AT_ONCE)
    each = [
        _rules(chance, talk, [side[at : at + _AT_ONCE] for side in requests], limits)
        for at in parts
    ]
    return {rule: np.concatenate([one[rule] for one in each]) for rule in each[0]}


def _rules(
    chance: np.random.Generator, talk: Talk, requests: list[Ints], limits: Limits
) -> dict[str, Bools]:
    new, old = (
        _said(chance, side, shares, talk.later, unsure)
        for side, shares, unsure in zip(requests, (talk.new, talk.old), talk.unsure, strict=True)
    )
    bound = limits.max_answer_shift
    of_new, of_old = (np.maximum(side.answers, 1)[..., None] for side in (new, old))
    of_kind = [np.append(side.labels, side.unsure[..., None], axis=-1) for side in (new, old)]
    pooled = (of_kind[0] + of_kind[1] + 0.5) / (of_new + of_old + 1)
    beyond = np.abs(of_kind[0] / of_new - of_kind[1] / of_old) - bound
    spread = np.sqrt(pooled * (1 - pooled) * (1 / of_new + 1 / of_old))
    enough = (new.answers >= FIRST)[..., None]
    return {
        "perennial": (p_values(new, old, bound) <= limits.level).any(axis=-1),
        "z, peeking": ((beyond > Z * spread) & enough).any(axis=-1),
        "threshold": ((beyond > 0) & enough).any(axis=-1),
    }


def _said(
    chance: np.random.Generator, requests: Ints, shares: Shares, later: Shares, unsure: float
) -> Counts:
    looks = requests.shape[1]
    half = looks // 2 if later else looks
    of_look = np.array([shares] * half + [later or shares] * (looks - half))
    labels = chance.multinomial(requests, of_look).cumsum(axis=1)
    return Counts(labels, chance.binomial(requests, unsure).cumsum(axis=1), labels.sum(axis=-1))
