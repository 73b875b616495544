"""How far what callers ask went from what the version was tested on, check by check."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from tasks.pictures.base import BLUE, GREY, ORANGE, RED, figure, png

_COLOURS = {"OK": BLUE, "SUSPECTED": ORANGE, "DETECTED": RED}


class Point(NamedTuple):
    """One check: when its window ended, its score in 0 to 1, its outcome, whom it was about."""

    until: datetime
    score: float
    outcome: str
    version: str


def trend(points: Sequence[Point], threshold: float) -> bytes:
    """The scores over time beside the threshold, as PNG; a line where another version began."""
    from matplotlib import dates

    timeline: Any = dates  # which carries no types
    drawn = figure(9, 3)
    axes = drawn.subplots()
    at = [float(timeline.date2num(point.until)) for point in points]
    axes.plot(at, [point.score for point in points], color=GREY, linewidth=1)
    for outcome, colour in _COLOURS.items():
        rows = [row for row, point in enumerate(points) if point.outcome == outcome]
        if rows:
            heights = [points[row].score for row in rows]
            axes.scatter(
                [at[row] for row in rows], heights, s=24, zorder=3, color=colour, label=outcome
            )
    axes.axhline(threshold, color=GREY, linestyle=":", label=f"threshold {threshold:g}")
    version = ""
    for x, point in zip(at, points, strict=True):
        if point.version != version:
            version = point.version
            axes.axvline(x, color=GREY, linewidth=0.6)
            where = axes.get_xaxis_transform()
            axes.text(x, 0.97, f" version {version}", transform=where, fontsize=7, va="top")
    axes.set_title("Drift score, check by check", loc="left", fontsize=11)
    top = max([threshold, *(point.score for point in points)])
    axes.set_ylim(0, min(1.0, max(0.1, 1.25 * top)))
    if len(at) == 1:  # matplotlib would show some years around it
        axes.set_xlim(at[0] - 0.5, at[0] + 0.5)
    locator = timeline.AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(timeline.ConciseDateFormatter(locator))
    axes.set_xlabel("end of the window, UTC", fontsize=9)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower right", ncols=4, bbox_to_anchor=(1, 1))
    return png(drawn)
