"""What makes a comparison of window and reference impossible: then the monitor is broken."""

from collections.abc import Iterator

import numpy as np

from tasks.policy.signals import Features


def faults(reference: Features, window: Features) -> tuple[str, ...]:
    """What a person must mend before anything can be compared, in words; empty when nothing."""
    found = [*_differences(reference, window)]
    if not found:
        for side, rows in (("reference", reference), ("window", window)):
            found += [f"{side}: {fault}" for fault in _unsound(rows)]
    return tuple(found)


def _differences(reference: Features, window: Features) -> Iterator[str]:
    if reference.names != window.names:
        yield f"the labels are {reference.names} in the reference, {window.names} in the window"
    for name in sorted(reference.numeric.keys() ^ window.numeric.keys()):
        side = "reference" if name in reference.numeric else "window"
        yield f"only the {side} has the column {name}"
    if reference.has_texts != window.has_texts:
        yield f"only the {'reference' if reference.has_texts else 'window'} has texts"
    elif reference.vectors is not None and window.vectors is not None:
        sizes = reference.vectors.shape[1], window.vectors.shape[1]
        if sizes[0] != sizes[1]:
            yield f"sentence vectors have {sizes[0]} numbers in the reference, {sizes[1]} now"


def _unsound(side: Features) -> Iterator[str]:
    rows, classes = len(side), len(side.names)
    columns = {
        **side.numeric,
        "the answers' confidence": side.confidence,
        "the answers' probabilities": side.probabilities,
        "the sentence vectors": np.empty((rows, 1)) if side.vectors is None else side.vectors,
    }
    for name, values in columns.items():
        if len(values) != rows:
            yield f"{name} holds {len(values)} of {rows} rows"
        elif wrong := int(np.count_nonzero(~np.isfinite(values))):
            yield f"{wrong} of {values.size} values of {name} are no numbers"
    if side.probabilities.shape != (rows, classes):
        yield f"{side.probabilities.shape} probabilities for {rows} rows and {classes} labels"
    if rows and not 0 <= side.labels.min() <= side.labels.max() < classes:
        yield f"labels number {side.labels.min()} to {side.labels.max()} of {classes}"
