"""What a model is not good at, as far as its evaluation shows it."""

from tasks.policy.intervals import told, wilson
from training.formats import BundleManifest, Evaluation, Slice

_FEW_ROWS = 20
_WEAKEST = 3
_CALIBRATED = 0.02


def limits(bundle: BundleManifest, evaluation: Evaluation) -> list[str]:
    """Sentences with numbers; each is there only when the numbers say so."""
    return [
        f"Every text gets one of the {len(bundle.labels)} classes: there is no answer for a text"
        " that belongs to none of them.",
        *_calibration(evaluation),
        *_cut(bundle, evaluation),
        *_slices(evaluation),
        *_classes(evaluation),
    ]


def _calibration(evaluation: Evaluation) -> list[str]:
    score = evaluation.challenger
    if not score.bins:
        return []
    mean = sum(one.rows * one.confidence for one in score.bins) / evaluation.rows
    gap = mean - score.accuracy
    seen = f"mean confidence {mean:.3f}, accuracy {score.accuracy:.3f}, ECE {score.ece:.3f}"
    if abs(gap) <= _CALIBRATED:
        return [f"Confidence is on average as high as accuracy ({seen})."]
    how = "surer than it is right" if gap > 0 else "less sure than it is right"
    return [f"It is {how} ({seen}): do not read a confidence as a probability."]


def _cut(bundle: BundleManifest, evaluation: Evaluation) -> list[str]:
    cut = next((one for one in evaluation.slices if one.name == "truncated"), None)
    if cut is None:
        return []
    share = f"{cut.rows:,} of {evaluation.rows:,} test rows ({cut.rows / evaluation.rows:.1%})"
    return [f"What comes after {bundle.max_length} tokens is not read; that cut {share}."]


def _slices(evaluation: Evaluation) -> list[str]:
    """Parts of the rows on which it is worse beyond chance, and parts that nothing is known of."""
    whole = evaluation.challenger.accuracy
    found = []
    for one in evaluation.slices:
        low, high = wilson(one.right, one.rows)
        if one.adequate and high < whole:
            seen = told(one.right / one.rows, (low, high))
            found.append(f"Worse on {one.name} texts ({one.rule}): accuracy {seen}.")
    if few := [_counted(one) for one in evaluation.slices if not one.adequate]:
        found.append(f"Too few test rows to say how it does on: {', '.join(few)}.")
    return found


def _counted(one: Slice) -> str:
    return f"{one.name} ({one.rows} rows)"


def _classes(evaluation: Evaluation) -> list[str]:
    classes = evaluation.challenger.classes
    known = {label: one for label, one in classes.items() if one.support >= _FEW_ROWS}
    found = []
    if weakest := sorted(known, key=lambda label: known[label].recall)[:_WEAKEST]:
        seen = ", ".join(f"{label} {known[label].recall:.3f}" for label in weakest)
        found.append(f"Lowest recall among classes with {_FEW_ROWS} test rows or more: {seen}.")
    if never := [label for label in known if known[label].recall == 0]:
        found.append(f"Never found in the test rows: {', '.join(never)}.")
    if few := [f"{label} ({classes[label].support})" for label in classes if label not in known]:
        found.append(f"Fewer than {_FEW_ROWS} test rows of: {', '.join(few)}.")
    return found
