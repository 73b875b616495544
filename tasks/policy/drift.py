"""Whether the texts of a window are others than those that the version was measured on.

DETECTED needs one signal whose effect is larger than chance makes it by `threshold`, with a p-value
under `p` after Holm's weighted correction over all signals. Holm's and not Benjamini-Hochberg's:
one wrong signal is a false alarm, so the chance of any must be small, and Holm's holds however the
signals depend on each other. The threshold holds for a suspicion, too: in many rows every
difference is certain, also one that does not matter.

Each different text counts once: a client that repeats itself has not changed its language.
Not covered: a window of a few hours differs from the day that the reference comes from.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from tasks.drift_policy import Drift
from tasks.drift_records import Checked, DriftOutcome, DriftVerdict, Moved, Severity, Signal
from tasks.policy import domains, effects, hurting, means
from tasks.policy.effects import Effect
from tasks.policy.faults import faults
from tasks.policy.feedback import VersionAccuracy
from tasks.policy.signals import Features

LABEL, VECTORS = "predicted label", "sentence vectors"
_SEED = 1904
# Of the chance of a false alarm: what callers are told gets a half, what they ask for a quarter.
_WEIGHTS, _REST = {LABEL: 0.5, VECTORS: 0.25}, 0.25
_MOVED = 0.02  # of all answers; smaller changes of a class are not told
_SEVERE: tuple[tuple[float, Severity], ...] = ((0.3, "high"), (0.1, "medium"), (0.0, "low"))
_SAID = {DriftOutcome.OK, DriftOutcome.SUSPECTED, DriftOutcome.DETECTED}


def decide(
    reference: Features,
    window: Features,
    policy: Drift,
    about: Checked,
    before: Sequence[DriftVerdict] = (),
    feedback: VersionAccuracy | None = None,
    seed: int = _SEED,
) -> DriftVerdict:
    """The whole verdict but for words and texts; the same for the same rows and seed.

    `before` are earlier verdicts on the classifier in any order, `feedback` is what callers say of
    the window's answers. What cannot be compared is ERROR; nothing is raised.
    """
    blank = DriftVerdict(DriftOutcome.ERROR, about, len(window), 0, len(reference))
    if problems := faults(reference, window):
        return replace(blank, reasons=problems)
    old, new = different(reference), different(window)
    blank = replace(blank, different=len(new), reference_rows=len(old))
    least = policy.minimum_rows
    if len(old) < least:
        few = f"reference: {len(old)} different texts, minimum_rows of [drift] is {least}"
        return replace(blank, reasons=(few,))
    if len(new) < least:
        few = f"{len(new)} different texts in {len(window)} rows, minimum_rows is {least}"
        return replace(blank, outcome=DriftOutcome.NO_DATA, reasons=(few,))
    if not (found := signals(old, new, seed)):
        same = "every column holds one value on both sides: nothing can be compared"
        return replace(blank, reasons=(same,))
    outcome, reason = _outcome(found, policy, about, before)
    drift = replace(
        blank,
        outcome=outcome,
        score=max(one.excess for one in found),
        p_value=min(one.corrected_p for one in found),
        signals=found,
        classes_moved=_moved(old, new) if outcome != DriftOutcome.OK else (),
        reasons=(reason, *_repeated(window, new), *_sampled(window)),
    )
    return hurting.judged(_graded(drift), reference, window, policy, feedback, seed)


def different(rows: Features) -> Features:
    """Each text once, the first time it is there; all rows where there are no texts to compare."""
    if rows.vectors is None or not len(rows):
        return rows
    key = np.column_stack([rows.vectors, rows.numeric["characters"].astype(np.float32)])
    bytes_of_row = np.ascontiguousarray(key).view(np.dtype((np.void, key.itemsize * key.shape[1])))
    first = np.unique(bytes_of_row.ravel(), return_index=True)[1]
    return replace(rows, excerpts=(), ids=()).take(np.sort(first))


def signals(reference: Features, window: Features, seed: int = _SEED) -> tuple[Signal, ...]:
    """Every comparison, the strongest first; columns that never vary compare nothing."""
    chance = np.random.default_rng(seed)
    found = {name: one for name, one in _effects(reference, window, chance) if one != effects.NONE}
    rest = _REST / max(1, len(found.keys() - _WEIGHTS.keys()))
    weights = [_WEIGHTS.get(name, rest) for name in found]
    corrected = effects.holm([one.p for one in found.values()], weights)
    told = [
        Signal(name, one.size, one.band, one.p, p)
        for (name, one), p in zip(found.items(), corrected, strict=True)
    ]
    return tuple(sorted(told, key=lambda one: (one.corrected_p, -one.excess)))


def _effects(
    reference: Features, window: Features, chance: np.random.Generator
) -> Iterator[tuple[str, Effect]]:
    yield LABEL, _answers(reference, window, chance)
    for name in sorted(reference.numeric):
        yield name, effects.of_values(reference.numeric[name], window.numeric[name], chance)
    if reference.vectors is not None and window.vectors is not None:
        yield VECTORS, domains.of_places(reference.vectors, window.vectors, chance)


def _answers(reference: Features, window: Features, chance: np.random.Generator) -> Effect:
    """The share that changed label; whether by chance, the probabilities tell from fewer rows."""
    share = effects.of_categories(_counts(reference), _counts(window), chance)
    if share == effects.NONE:
        return share
    p = means.p_value(reference.probabilities, window.probabilities, chance)
    return replace(share, p=p)


def _counts(side: Features) -> effects.Numbers:
    return np.bincount(side.labels, minlength=len(side.names)).astype(np.int64)


def _outcome(
    found: Sequence[Signal], policy: Drift, about: Checked, before: Sequence[DriftVerdict]
) -> tuple[DriftOutcome, str]:
    large = [one for one in found if one.excess > policy.threshold]
    if sure := [one for one in large if one.corrected_p < policy.p]:
        return DriftOutcome.DETECTED, "; ".join(map(_told, sure))
    if likely := [one for one in large if one.corrected_p < policy.suspected_p]:
        told = "; ".join(map(_told, likely))
        if since := _suspected(about, before):
            return DriftOutcome.DETECTED, f"{told}; suspected before, {since.about.until:%F %R}"
        return DriftOutcome.SUSPECTED, f"{told}; p under {policy.p} is needed, or this twice"
    strongest = found[0]
    return DriftOutcome.OK, f"strongest of {len(found)} signals: {_told(strongest)}"


def _suspected(about: Checked, before: Sequence[DriftVerdict]) -> DriftVerdict | None:
    """The suspicion that this one repeats: the last verdict on other answers of the version.

    Windows that share answers share their accidents, so they are no second opinion.
    """
    own = (about.version, about.bundle_digest)
    said = [
        one
        for one in before
        if (one.about.version, one.about.bundle_digest) == own
        and one.outcome in _SAID
        and one.about.until <= about.since
    ]
    last = max(said, key=lambda one: one.about.until, default=None)
    return last if last and last.outcome == DriftOutcome.SUSPECTED else None


def _graded(drift: DriftVerdict) -> DriftVerdict:
    if drift.outcome == DriftOutcome.OK:
        return drift
    return replace(drift, severity=next(name for least, name in _SEVERE if drift.score >= least))


def _moved(reference: Features, window: Features) -> tuple[Moved, ...]:
    old, new = _counts(reference) / len(reference), _counts(window) / len(window)
    order = np.argsort(-np.abs(new - old), kind="stable")
    return tuple(
        Moved(reference.names[at], float(old[at]), float(new[at]))
        for at in order
        if abs(new[at] - old[at]) >= _MOVED
    )


def _told(one: Signal) -> str:
    return (
        f"{one.name}: effect {one.effect:.3f}, chance alone up to {one.band:.3f},"
        f" p {one.corrected_p:.2g}"
    )


def _repeated(window: Features, new: Features) -> Iterator[str]:
    if (share := 1 - len(new) / len(window)) >= 0.05:
        yield f"{share:.0%} of {len(window):,} rows repeat a text; each text counts once"


def _sampled(window: Features) -> Iterator[str]:
    if window.margin:
        yield (
            f"{len(window):,} of {window.total:,} rows were drawn: shares may be"
            f" {window.margin:.1%} off"
        )
