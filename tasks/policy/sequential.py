"""Whether a share is too large beyond doubt, however often one looks and whenever one stops.

All three questions are one: out of `trials`, so many were hits; is a hit likelier than `share`?
- against a limit: trials are requests, hits are errors, the share is the limit;
- against another version: trials are the errors of both, hits those of the new version, and if it
  is no worse, it has as large a part of the errors as it has of the requests;
- on the same texts: trials are texts that one version alone has right, the share is one half.

The test is a mixture sequential probability ratio test (Wald; Robbins; Johari et al. 2015): the
likelihood if the odds were TIMES those of `share`, over the likelihood at `share`, averaged. While
the truth is not larger this ratio is a supermartingale that starts at 1, so by Ville's inequality
it ever reaches 1 / alpha with a chance of alpha at most. It is computed from counts: no variance is
estimated, so no hits and no trials say nothing (1), and rare errors are as right as frequent ones.
The usual normal mixture (tau 0.01) with alpha for itself takes back more equal versions and finds
2 % against 10 % in 500 requests less often than this with a fifteenth of it (bench/rollouts).

How much of a difference is too much is a question of its own (`p_beyond`): the null hypothesis then
has a free share on each side. The ratio is again a mixture (Jeffreys' on each side) over the
likelihood of the best pair of shares that keeps to the bound (universal inference: Wasserman,
Ramdas and Balakrishnan 2020), and as the true pair can be no better than the best one, the same
inequality holds.

Not covered: errors that come in bursts are not independent and count for more than they are; an
odds ratio under about 1.15 is never found; where most requests are errors on both sides, the
comparison of versions needs more of them than it would have to.
"""

import numpy as np
import numpy.typing as npt

TIMES = (1.3, 1.6, 2.0, 3.0, 5.0, 10.0)  # from a third more to a broken version

_HALVINGS = 40

Floats = npt.NDArray[np.float64]


def p_above(hits: npt.ArrayLike, trials: npt.ArrayLike, share: npt.ArrayLike) -> Floats:
    """The p-value, valid at every look, of "a hit is no likelier than `share`", elementwise.

    `hits` and `trials` are counts since the first look, 0 <= hits <= trials; `share` is in 0 to 1.
    """
    found, of, odds = np.asarray(hits)[..., None], np.asarray(trials)[..., None], np.array(TIMES)
    against = np.log1p(np.asarray(share, dtype=np.float64)[..., None] * (odds - 1))
    evidence = np.logaddexp.reduce(found * np.log(odds) - of * against, axis=-1)
    value: Floats = np.exp(-np.maximum(evidence - np.log(len(TIMES)), 0))
    return value


def p_worse(
    new_hits: npt.ArrayLike,
    new_trials: npt.ArrayLike,
    old_hits: npt.ArrayLike,
    old_trials: npt.ArrayLike,
) -> Floats:
    """The p-value, valid at every look, of "new's share is no larger than old's", elementwise.

    The sides may get unequal parts of the requests, but the same parts all the while; the shares
    themselves may change with the hour, if they do so for both.
    """
    new, both = np.asarray(new_trials), np.add(new_trials, old_trials)
    return p_above(new_hits, np.add(new_hits, old_hits), new / np.maximum(both, 1))


def p_beyond(
    new_hits: npt.ArrayLike,
    new_trials: npt.ArrayLike,
    old_hits: npt.ArrayLike,
    old_trials: npt.ArrayLike,
    bound: float,
) -> Floats:
    """The p-value, valid at every look, of "new's share is at most old's and `bound`", elementwise.

    Asked of the hits and of the misses, the smaller value is that of "the shares are `bound` apart
    at most": only one of the two can be under 1.
    """
    given = np.broadcast_arrays(new_hits, new_trials, old_hits, old_trials)
    sides = [one.astype(np.float64) for one in given]
    new, of_new, old, of_old = sides
    beyond = new / np.maximum(of_new, 1) - old / np.maximum(of_old, 1) > bound
    value = np.ones(beyond.shape)
    if beyond.any():
        new, of_new, old, of_old = (one[beyond] for one in sides)
        evidence = _mixed(new, of_new) + _mixed(old, of_old)
        evidence -= _best_within(new, of_new, old, of_old, bound)
        value[beyond] = np.exp(-np.maximum(evidence, 0))
    return value


def _mixed(hits: Floats, trials: Floats) -> Floats:
    """Log-likelihood of the trials in their order, the share drawn from Jeffreys' prior."""
    from scipy.special import betaln  # late: most who compare shares have no use for it

    found: Floats = betaln(hits + 0.5, trials - hits + 0.5) - betaln(0.5, 0.5)
    return found


def _best_within(new: Floats, of_new: Floats, old: Floats, of_old: Floats, bound: float) -> Floats:
    """The largest log-likelihood with new's share `bound` over old's: concave in the latter."""
    left = 1 - bound
    low, high = np.zeros(new.shape), np.full(new.shape, left)
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        slope = new / (share + bound) - (of_new - new) / (left - share)
        slope += old / share - (of_old - old) / (1 - share)
        low, high = np.where(slope > 0, share, low), np.where(slope > 0, high, share)
    share = (low + high) / 2
    best: Floats = (
        new * np.log(share + bound)
        + (of_new - new) * np.log(left - share)
        + old * np.log(share)
        + (of_old - old) * np.log(1 - share)
    )
    return best
