"""How long the texts of each split are and how its classes are shared out, as one picture."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.pictures.base import BLUE, GREY, ORANGE, figure, png
from tasks.policy.quality import cut_words
from tasks.policy.splits import Chosen
from training.formats import Split

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: dict[Split, str] = {"train": BLUE, "validation": ORANGE, "test": GREY}
_ORDER: dict[str, int] = {split: at for at, split in enumerate(COLOURS)}
_BINS, _TAIL = 40, 0.99


def drawn(labels: Sequence[str], rows: Chosen, max_length: int) -> bytes:
    """The picture as PNG; as tall as its classes need."""
    tall = 1.4 + 0.27 * len(labels)
    whole = figure(8.5, 3 + tall)
    top, bottom = whole.subplots(2, 1, height_ratios=(3, tall))
    _lengths(top, rows, cut_words(max_length), max_length)
    _classes(bottom, labels, rows)
    for axes in (top, bottom):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_formatter("{x:,.0f}")
    return png(whole)


def _lengths(axes: "Axes", rows: Chosen, cut: float, max_length: int) -> None:
    words = {split: [text.count(" ") + 1 for text, _ in found] for split, found in rows.items()}
    ordered = sorted(count for counts in words.values() for count in counts)
    # A few endless texts would press all others into the first bar: they share the last one.
    most = max(ordered[int(_TAIL * (len(ordered) - 1))], 10)
    step = max(-(-most // _BINS), 1)
    edges = [step * at for at in range(-(-most // step) + 2)]
    for split, counts in words.items():
        axes.hist(
            [min(count, edges[-1] - 0.5) for count in counts],
            bins=edges,
            weights=[100 / len(counts)] * len(counts),
            histtype="stepfilled" if split == "train" else "step",
            color=COLOURS[split],
            alpha=0.35 if split == "train" else 1,
            linewidth=1.6,
            label=f"{split}, {len(counts):,} rows",
        )
    if cut < edges[-1]:
        axes.axvline(cut, color="black", linestyle="--", linewidth=1)
        told = f" max-length {max_length} tokens, about {cut:.0f} words"
        axes.text(cut, axes.get_ylim()[1], told, va="top", fontsize=8)
    axes.set_title("Length of the texts", loc="left", fontsize=11)
    axes.set_xlabel(f"words (the last bar holds all from {edges[-2]:,} on)", fontsize=9)
    axes.set_ylabel("% of the split's rows", fontsize=9)
    axes.grid(axis="y", alpha=0.3)
    _legend(axes)


def _classes(axes: "Axes", labels: Sequence[str], rows: Chosen) -> None:
    counts = {split: Counter(label for _, label in found) for split, found in rows.items()}
    train = counts["train"]
    ordered = sorted(labels, key=lambda label: (train[label], label))
    places = range(len(ordered))
    shares: dict[Split, list[float]] = {
        split: [100 * found[label] / max(found.total(), 1) for label in ordered]
        for split, found in counts.items()
    }
    marked: tuple[tuple[Split, str], ...] = (("validation", "o"), ("test", "D"))
    axes.barh(places, shares["train"], color=BLUE, alpha=0.35, height=0.72, label="train")
    for split, marker in marked:
        here = shares[split]
        axes.scatter(here, places, s=22, color=COLOURS[split], marker=marker, label=split, zorder=3)
    widest = max(share for there in shares.values() for share in there)
    for place, label in enumerate(ordered):
        told = " / ".join(f"{found[label]:,}" for found in counts.values())
        at = max(there[place] for there in shares.values()) + 0.015 * widest
        axes.text(at, place, told, va="center", fontsize=8, color="#444444")
    axes.set_yticks(places, ordered, fontsize=9)
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    axes.set_xlim(0, 1.18 * widest)
    axes.set_title("Classes: rows in train / validation / test", loc="left", fontsize=11)
    axes.set_xlabel("% of the split's rows", fontsize=9)
    axes.grid(axis="x", alpha=0.3)
    _legend(axes)


def _legend(axes: "Axes") -> None:
    """Above the drawing: inside, it would lie on bars or numbers of some data sets."""
    handles, names = axes.get_legend_handles_labels()
    ordered = sorted(
        zip(names, handles, strict=True), key=lambda pair: _ORDER[pair[0].split(",")[0]]
    )
    axes.legend(
        [handle for _, handle in ordered],
        [name for name, _ in ordered],
        fontsize=8,
        frameon=False,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=3,
    )
