"""What both versions of a rollout answered, look by look."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.pictures.base import BLUE, GREY, ORANGE, figure, png
from tasks.policy.heard import Both
from tasks.policy.watch import Look
from tasks.records import Arm

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def sides(looks: Sequence[Look], max_error_rate: float, max_p99_ms: float) -> bytes:
    """Share of 5xx and p99 of the new and the old version over the minutes, beside the limits;
    and where the log tells it, the labels that callers got by the last look."""
    heard = next((look.heard for look in reversed(looks) if look.heard), None)
    drawn = figure(12.5 if heard else 9, 3.6)
    errors, latency, *labels = drawn.subplots(1, 3 if heard else 2)
    if heard:
        _labels(labels[0], heard)
    new = [(look.minutes, look.new) for look in looks]
    old = [(look.minutes, look.old) for look in looks if look.old]
    for arms, colour, style in ((old, ORANGE, "--o"), (new, BLUE, "-o")):
        name = f"version {arms[-1][1].version}" if arms else None
        look = {"color": colour, "markersize": 3, "label": name}
        errors.plot([at for at, _ in arms], [_error_rate(arm) for _, arm in arms], style, **look)
        slow = [(at, arm.p99_ms) for at, arm in arms if arm.p99_ms is not None]
        latency.plot([at for at, _ in slow], [ms for _, ms in slow], style, **look)
    for axes, limit, title in (
        (errors, 100 * max_error_rate, "Errors (5xx), % of the requests"),
        (latency, max_p99_ms, "p99, ms"),
    ):
        axes.axhline(limit, color=GREY, linestyle=":", label="limit")
        axes.set_title(title, pad=14)  # above the shares
        axes.set_xlabel("minutes")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=8)
        for at, share in _changes(looks):
            axes.annotate(f"{share} %", (at, 1), xycoords=("data", "axes fraction"), fontsize=7)
            axes.axvline(at, color=GREY, linewidth=0.6)
    return png(drawn)


def _labels(axes: "Axes", heard: Both) -> None:
    names = list(heard.new.labels)
    for side, colour, lift in ((heard.new, BLUE, -0.2), (heard.old, ORANGE, 0.2)):
        places = [at + lift for at in range(len(names))]
        axes.barh(places, [100 * side.share(name) for name in names], 0.4, color=colour)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_title("Labels, % of the texts", pad=14)


def _error_rate(arm: Arm) -> float:
    return 100 * arm.errors / max(arm.requests, 1)


def _changes(looks: Sequence[Look]) -> list[tuple[float, int]]:
    """The minutes at which another share of the callers got the new version."""
    shares = [0, *(look.percent for look in looks)]
    pairs = zip(shares, looks, strict=False)
    return [(look.minutes, look.percent) for before, look in pairs if look.percent != before]
