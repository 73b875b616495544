import struct

import pytest

from tasks.pictures.study import history, parallel
from tasks.search import Search
from tasks.trials import Trial

SPACE = {
    "learning-rate": Search(low=1e-6, high=1e-3, log=True),
    "num-train-epochs": Search(low=2, high=4),
    "model-name": Search(choices=("offline", "bert-base-uncased")),
}
VALUES = {"learning-rate": 2e-5, "num-train-epochs": 3, "model-name": "offline"}
EVERY = [
    Trial(0, "COMPLETE", VALUES, 0.0, 0.71),
    Trial(1, "PRUNED", VALUES | {"learning-rate": 1e-3}, 0.0, 0.2, {1: 0.2}),
    Trial(2, "FAIL", VALUES, 0.0),
    Trial(3, "COMPLETE", VALUES | {"model-name": "bert-base-uncased"}, 0.0, 0.83),
    Trial(4, "RUNNING", {}, 0.0),
]


def size(picture: bytes) -> tuple[int, int]:
    assert picture.startswith(b"\x89PNG")
    return struct.unpack(">II", picture[16:24])


@pytest.mark.parametrize("trials", [EVERY, EVERY[:1], EVERY[1:3], EVERY[4:], []])
def test_however_far_a_study_is_there_is_a_picture(trials):
    assert size(history(trials, "macro_f1", 0.71))[0] > 600
    assert size(parallel(trials, SPACE, "macro_f1"))[0] > 600


def test_another_score_is_another_picture_and_the_same_trials_are_the_same():
    better = [*EVERY[:3], Trial(3, "COMPLETE", EVERY[3].values, 0.0, 0.9)]

    assert history(EVERY, "macro_f1", None) == history(EVERY, "macro_f1", None)
    assert history(better, "macro_f1", None) != history(EVERY[:4], "macro_f1", None)
    assert parallel(EVERY[:1], SPACE, "") != parallel([EVERY[3]], SPACE, "")


def test_more_hyperparameters_make_a_wider_picture():
    one = {"num-train-epochs": SPACE["num-train-epochs"]}
    wide = SPACE | {f"warmup-steps-{number}": Search(choices=(0, 1)) for number in range(3)}

    assert size(parallel([], wide, ""))[0] > size(parallel([], one, ""))[0]
