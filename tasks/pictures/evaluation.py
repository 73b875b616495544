"""Pictures of an evaluation and of a training run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tasks.pictures.base import BLUE, GREY, ORANGE, figure
from training.formats import Evaluation, ModelScore, TrainingCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#1f2937"
_MANY = 8  # classes whose names no longer fit side by side


def confusion(score: ModelScore, labels: Sequence[str]) -> "Figure":
    """Counts, coloured by share of the true class; many classes go from the largest down."""
    order = _by_size(score, labels) if len(labels) > _MANY else list(range(len(labels)))
    cells = np.asarray(score.confusion)[np.ix_(order, order)]
    shares = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
    side = max(4.6, 1.8 + 0.36 * len(labels))
    drawn = figure(side + 0.6, side)
    axes = drawn.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [labels[at] for at in order]
    axes.set_xticks(range(len(names)), names)
    if len(labels) > _MANY:
        axes.tick_params(axis="x", rotation=90)
    axes.set_yticks(
        range(len(names)), [f"{n} ({c})" for n, c in zip(names, cells.sum(1), strict=True)]
    )
    size = 10 if len(labels) <= _MANY else 7
    for row, column in zip(*np.nonzero(cells), strict=True):
        colour = "white" if shares[row, column] > 0.55 else _INK
        axes.text(
            column, row, cells[row, column], ha="center", va="center", fontsize=size, color=colour
        )
    axes.set(xlabel="answer", ylabel="truth (rows)", title="Answers of the challenger")
    bar = drawn.colorbar(image, ax=axes, fraction=0.04, pad=0.02, format="{x:.0%}")
    bar.outline.set_visible(False)
    bar.set_label("share of the true class")
    axes.spines[:].set_visible(False)
    return drawn


def reliability(evaluation: Evaluation) -> "Figure":
    """Accuracy beside confidence in each bin, and how many answers are in it, of both models."""
    drawn = figure(7, 5.6)
    above, below = drawn.subplots(2, 1, sharex=True, height_ratios=(3, 1.3))
    above.plot((0, 1), (0, 1), color=GREY, linestyle="--", linewidth=1, label="as sure as right")
    for name, colour, score in _models(evaluation):
        seen = [one for one in score.bins if one.rows]
        sure = [one.confidence for one in seen]
        above.plot(
            sure,
            [one.accuracy for one in seen],
            color=colour,
            marker="o",
            markersize=4,
            label=f"{name}, calibration error {score.ece:.3f}",
        )
        edges = np.linspace(0, 1, len(score.bins) + 1)
        below.stairs(
            [one.rows / evaluation.rows for one in score.bins], edges, color=colour, lw=1.6
        )
    above.set(
        ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02), title="Is it right as often as it is sure?"
    )
    drawn.legend(loc="outside lower center", ncols=2, frameon=False)
    below.set(xlabel="confidence", ylabel="share of answers")
    below.yaxis.set_major_formatter("{x:.0%}")
    _plain(above, below)
    return drawn


def classes(evaluation: Evaluation) -> "Figure":
    """F1 of each class, the largest class on top, of both models."""
    labels = evaluation.labels
    names = [labels[at] for at in _by_size(evaluation.challenger, labels)]
    models = _models(evaluation)
    drawn = figure(7, 1.5 + (0.2 + 0.14 * len(models)) * len(names))
    axes = drawn.add_subplot()
    thick = 0.8 / len(models)
    for number, (name, colour, score) in enumerate(models):
        places = np.arange(len(names)) + (number - (len(models) - 1) / 2) * thick
        found = [score.classes[label] for label in names]
        axes.barh(places, [one.f1 for one in found], thick * 0.92, color=colour, label=name)
        for place, one in zip(places, found, strict=True):
            seen = f"{one.f1:.2f}" if one.support else "no rows"
            axes.text(one.f1 + 0.008, place, seen, va="center", fontsize=7, color=_INK)
    sizes = [evaluation.challenger.classes[label].support for label in names]
    axes.set_yticks(range(len(names)), [f"{n} ({c})" for n, c in zip(names, sizes, strict=True)])
    axes.set(xlim=(0, 1.06), xlabel="F1", title="F1 of each class (test rows)")
    axes.set_ylim(len(names) - 0.4, -0.6)
    if len(models) > 1:
        drawn.legend(loc="outside lower center", ncols=2, frameon=False)
    _plain(axes)
    return drawn


def curve(training: TrainingCurve) -> "Figure":
    """Losses and scores after each epoch; the line marks the epoch that was kept."""
    drawn = figure(8, 3.4)
    left, right = drawn.subplots(1, 2)
    epochs = [one.epoch for one in training.curve]
    for axes, lines in (
        (left, {"training loss": "train_loss", "validation loss": "loss"}),
        (right, {"accuracy": "accuracy", "macro-F1": "macro_f1"}),
    ):
        # The second is dashed: where both are the same the first is seen through it.
        pairs = zip(lines.items(), ((BLUE, "-"), (ORANGE, "--")), strict=True)
        for (name, field), (colour, line) in pairs:
            values = [getattr(one, field) for one in training.curve]
            axes.plot(epochs, values, line, color=colour, marker="o", markersize=4, label=name)
        axes.axvline(training.best_epoch, color=GREY, linestyle="--", linewidth=1)
        axes.set(xlabel="epoch", xlim=(0.5, len(epochs) + 0.5))
        axes.locator_params(axis="x", integer=True)
        axes.legend(frameon=False)
    left.set(title="Loss", ylim=(0, None))
    right.set(title=f"On the validation rows (kept: epoch {training.best_epoch})", ylim=(0, 1.02))
    _plain(left, right)
    return drawn


def _models(evaluation: Evaluation) -> list[tuple[str, str, ModelScore]]:
    found = [("challenger", BLUE, evaluation.challenger)]
    if evaluation.champion:
        found.append(("champion", ORANGE, evaluation.champion))
    return found


def _by_size(score: ModelScore, labels: Sequence[str]) -> list[int]:
    """Numbers of the labels, the one with most rows first."""
    return sorted(range(len(labels)), key=lambda at: -score.classes[labels[at]].support)


def _plain(*charts: "Axes") -> None:
    for axes in charts:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
        axes.set_axisbelow(True)
