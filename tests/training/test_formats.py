import math

import pytest

from training.formats import EpochLine, Progress


@pytest.mark.parametrize("loss", [0.1234, math.nan, math.inf])
def test_what_an_epoch_says_is_read_back(loss):
    said = EpochLine(epoch=2, epochs=10, train_loss=loss, accuracy=0.875, macro_f1=0.0)

    assert str(EpochLine.parse(f"algo-1 | {said.line()}\r")) == str(said)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "epoch 1/3 step 4/9 loss 0.5000 12.0 rows/s eta 3 s",
        "epoch 1/3 done: train loss",
        "early stop: no better epoch in the last 2",
    ],
)
def test_other_lines_are_no_epochs(line):
    assert EpochLine.parse(line) is None


def test_an_epoch_is_no_progress():
    assert Progress.parse(EpochLine(1, 3, 0.5, 0.9, 0.8).line()) is None
