"""Pictures of a study: how the score went from trial to trial, and which values went with it."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tasks.pictures.base import BLUE, GREY, ORANGE, RED, figure, png
from tasks.search import Search, Value, label
from tasks.trials import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NOTHING = "no trial has a score yet"


def history(trials: Sequence[Trial], objective: str, now: float | None) -> bytes:
    """Each trial's score in the order of asking, the best so far, and the file's values' score."""
    drawn = figure(8, 3.6)
    axes = drawn.add_subplot()
    _points(axes, trials, "COMPLETE", BLUE, "o", "complete")
    _points(axes, trials, "PRUNED", ORANGE, "v", "cut short, last epoch")
    complete = [one for one in trials if one.state == "COMPLETE" and one.score is not None]
    best = [max(one.score or 0.0 for one in complete[: at + 1]) for at in range(len(complete))]
    if best:
        end = trials[-1].number
        axes.step(
            [*(one.number for one in complete), end],
            [*best, best[-1]],
            where="post",
            color=BLUE,
            alpha=0.5,
            label="best so far",
        )
    if now is not None:
        axes.axhline(now, color=GREY, linestyle="--", linewidth=1, label="classifier file")
    for at, one in enumerate(one for one in trials if one.state == "FAIL"):
        axes.axvline(one.number, color=RED, alpha=0.4, label="" if at else "failed")
    axes.set_xlabel("trial")
    axes.set_ylabel(f"{label(objective)} on validation rows")
    axes.locator_params(axis="x", integer=True)
    axes.grid(axis="y", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    else:
        axes.set_title(_NOTHING)
    return png(drawn)


def parallel(trials: Sequence[Trial], space: Mapping[str, Search], objective: str) -> bytes:
    """A line through the values of each scored trial: the darker, the better, thick the best."""
    import matplotlib as mpl
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    drawn = figure(max(6.0, 1.9 * len(space) + 1.5), 3.8)
    axes = drawn.add_subplot()
    axes.spines[:].set_visible(False)
    axes.set_yticks([])
    keys = list(space)
    for at, key in enumerate(keys):
        _scale(axes, at, space[key])
    axes.set_xticks(range(len(keys)), [label(key) for key in keys])
    axes.set_xlim(-0.4, len(keys) - 0.8)
    axes.set_ylim(-0.05, 1.05)
    axes.tick_params(axis="x", length=0, pad=8)
    scored = [one for one in trials if one.score is not None and len(one.values) == len(space)]
    if not scored:
        axes.set_title(_NOTHING)
        return png(drawn)
    # Shades are for telling the complete ones apart: one cut short after an epoch is far below.
    scores = [one.score or 0.0 for one in scored if one.state == "COMPLETE"] or [0.0]
    low, high = min(scores), max(max(scores), min(scores) + 1e-3)
    shades = ScalarMappable(Normalize(low, high), mpl.colormaps["viridis_r"])
    for one in sorted(scored, key=lambda one: one.score or 0.0):
        complete = one.state == "COMPLETE"
        heights = [_height(space[key], one.values[key]) for key in keys]
        axes.plot(
            range(len(keys)),
            heights,
            "-o" if complete else ":o",
            color=shades.get_cmap()(((one.score or 0.0) - low) / (high - low))
            if complete
            else GREY,
            linewidth=4 if (one.score or 0.0) == high else 1.5,
        )
    drawn.colorbar(shades, ax=axes, label=label(objective), pad=0.02)
    return png(drawn)


def _points(
    axes: "Axes", trials: Sequence[Trial], state: str, colour: str, marker: str, name: str
) -> None:
    shown = [
        (one.number, one.score) for one in trials if one.state == state and one.score is not None
    ]
    if shown:
        axes.scatter(*zip(*shown, strict=True), color=colour, marker=marker, label=name, zorder=3)


def _scale(axes: "Axes", at: int, search: Search) -> None:
    axes.axvline(at, color=GREY, linewidth=1)
    for value in _ticks(search):
        height = _height(search, value)
        text = value if isinstance(value, str) else f"{value:.3g}"
        axes.annotate(
            text,
            (at, height),
            (-7, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=8,
            zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8},
        )


def _ticks(search: Search) -> Sequence[Value]:
    if search.low is None or search.high is None:
        return search.choices
    middle = math.sqrt(search.low * search.high) if search.log else (search.low + search.high) / 2
    return (search.low, middle, search.high)


def _height(search: Search, value: Value) -> float:
    """Where on its axis a value lies, 0 to 1."""
    if search.low is None or search.high is None or isinstance(value, str):
        last = max(len(search.choices) - 1, 1)
        return search.choices.index(value) / last if value in search.choices else 0.0
    low, high, here = float(search.low), float(search.high), float(value)
    if search.log:
        low, high, here = math.log(low), math.log(high), math.log(here)
    return (here - low) / (high - low)
