from dataclasses import replace

import numpy as np

from tasks.policy.novelty import most_novel
from tasks.policy.signals import Features


def side(vectors, excerpts=()):
    rows = len(vectors)
    return Features(
        names=("A", "B"),
        labels=np.zeros(rows, np.int64),
        confidence=np.ones(rows),
        probabilities=np.ones((rows, 2)) / 2,
        numeric={},
        vectors=np.asarray(vectors, np.float32),
        excerpts=excerpts,
        total=rows,
    )


REFERENCE = side(np.tile([[1.0, 0.0, 0.0], [0.9, 0.1, 0.0]], (1500, 1)))


def test_the_farthest_texts_come_first_and_each_but_once():
    window = side(
        [[1, 0, 0], [0, 0, 1], [0, 0, 2], [0.5, 0.5, 0]], ("known", "far", "far", "between")
    )

    assert most_novel(REFERENCE, window) == ("far", "between", "known")
    assert most_novel(REFERENCE, window, most=1) == ("far",)


def test_one_strange_reference_text_makes_nothing_familiar():
    strange = side(np.vstack([REFERENCE.vectors[:1000], [[0, 0, 1]]]))
    window = side([[0.7, 0.7, 0], [0, 0, 1]], ("near", "strange"))

    assert most_novel(strange, window)[0] == "strange"


def test_without_texts_there_is_nothing_to_show():
    window = side([[1, 0, 0]], ("text",))

    assert most_novel(replace(REFERENCE, vectors=None), window) == ()
    assert most_novel(REFERENCE, replace(window, excerpts=())) == ()
