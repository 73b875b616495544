from itertools import pairwise

import pytest
from plugins.evaluations import evaluated, scored

from tasks.pictures import evaluation as pictures
from tasks.pictures.base import png
from training.formats import Epoch, TrainingCurve

MANY = tuple(f"class number {at}" for at in range(27))


def inside(drawn, texts):
    """Every text lies within the picture, and there are some."""
    drawn.draw_without_rendering()
    width, height = drawn.canvas.get_width_height()
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    return boxes and all(
        box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes
    )


@pytest.mark.parametrize("labels", [("A", "B"), MANY])
def test_every_name_and_count_of_a_confusion_matrix_fits(labels):
    score = scored(labels)

    drawn = pictures.confusion(score, labels)

    axes = drawn.axes[0]
    counts = [text.get_text() for text in axes.texts]
    assert sorted(counts) == ["10"] * len(labels) + ["90"] * len(labels)
    assert inside(drawn, [*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels()])


def test_names_of_many_classes_do_not_overlap():
    drawn = pictures.confusion(scored(MANY), MANY)

    drawn.draw_without_rendering()
    boxes = [text.get_window_extent() for text in drawn.axes[0].get_xticklabels()]
    assert not any(one.overlaps(two) for one, two in pairwise(boxes))


@pytest.mark.parametrize("labels", [("A", "B"), MANY])
def test_both_models_have_a_bar_for_each_class(labels):
    drawn = pictures.classes(evaluated(labels, champion=scored(labels, share=0.8)))

    axes = drawn.axes[0]
    widths = [round(bar.get_width(), 3) for bar in axes.patches]
    assert widths == [0.9] * len(labels) + [0.8] * len(labels)
    assert inside(drawn, [*axes.texts, *axes.get_yticklabels(), *drawn.legends[0].texts])


def test_reliability_shows_the_bins_that_have_rows_of_both_models():
    drawn = pictures.reliability(evaluated(champion=scored(("A", "B/C"), confidence=0.95)))

    _, challenger, champion = drawn.axes[0].lines
    assert challenger.get_xydata().tolist() == [[0.9, 0.9]]
    assert champion.get_xydata().tolist() == [[0.95, 0.9]]


def test_the_curve_marks_the_epoch_that_was_kept():
    curve = [Epoch(epoch=n, train_loss=1 / n, loss=1, accuracy=0.5, macro_f1=0.4) for n in (1, 2)]

    drawn = pictures.curve(TrainingCurve(best_epoch=2, curve=tuple(curve)))

    assert drawn.axes[0].lines[0].get_ydata().tolist() == [1, 0.5]
    assert [axes.lines[2].get_xdata()[0] for axes in drawn.axes] == [2, 2]
    assert png(drawn).startswith(b"\x89PNG")
