"""Everything that an evaluation measured, as metrics of the MLflow run."""

import re
from math import isfinite

from tasks.records import Verdict
from training.formats import Evaluation, ModelScore

# MLflow refuses other characters, and a slash starts a group of its own.
_FOREIGN = re.compile(r"[^\w .-]")


def measures(verdict: Verdict, evaluation: Evaluation | None) -> dict[str, float]:
    """Numbers by name; MLflow's page groups them by what is before the slash."""
    found = {f"evaluation/{_plain(name)}": value for name, value in verdict.numbers.items()}
    if evaluation:
        found |= _model(evaluation.challenger, "")
        if evaluation.champion:
            found |= _model(evaluation.champion, "champion_")
        found |= _slices(evaluation)
    return {name: value for name, value in found.items() if isfinite(value)}


def _model(score: ModelScore, who: str) -> dict[str, float]:
    found = {
        f"evaluation/{who}accuracy": score.accuracy,
        f"evaluation/{who}macro_f1": score.macro_f1,
        f"evaluation/{who}ece": score.ece,
        f"evaluation/{who}rows_per_s": score.rows_per_s,
    }
    for name, took in (("", score.latency), ("batch_", score.batch_latency)):
        if took:
            for part in ("p50_ms", "p95_ms", "p99_ms"):
                found[f"evaluation/{who}{name}{part}"] = getattr(took, part)
    for label, one in score.classes.items():
        for part in ("precision", "recall", "f1", "support"):
            found[f"evaluation_classes/{who}{_plain(label)}.{part}"] = getattr(one, part)
    return found


def _slices(evaluation: Evaluation) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in evaluation.slices:
        group = f"evaluation_slices/{_plain(one.name)}"
        found[f"{group}.rows"] = one.rows
        if one.rows:
            found[f"{group}.accuracy"] = one.right / one.rows
        if one.rows and one.champion_right is not None:
            found[f"{group}.champion_accuracy"] = one.champion_right / one.rows
    return found


def _plain(name: str) -> str:
    return _FOREIGN.sub("_", name)
