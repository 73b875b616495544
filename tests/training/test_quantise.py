"""An engine is kept only if it answers as well as fp32; else the bundle says why it is slower."""

import numpy as np
import pytest

from training import engine, quantise
from training.data import Examples
from training.engine import TorchEngine

ROWS = 400


class Saying:
    """Stand in for an engine that answers a row with its first token, some rows wrongly."""

    most_tokens = 512

    def __init__(self, wrong=()):
        self.wrong = set(wrong)

    def begin(self, batches):
        said = [[(row[0] + (row[1] in self.wrong)) % 4 for row in rows] for rows in batches]
        return lambda: [np.eye(4, dtype=np.float32)[answers] * 5 for answers in said]


def held_out(rows=ROWS):
    return Examples([[row % 4, row] for row in range(rows)], [row % 4 for row in range(rows)], 0)


@pytest.fixture(scope="module")
def model(tiny_bundle):
    return TorchEngine.load(tiny_bundle(), "cpu", None)._model


def damaged(wrong):
    """Stand in for an engine whose conversion went wrong in so many rows."""
    return lambda *_, **__: Saying(range(wrong))


@pytest.mark.parametrize(
    ("rows", "lost", "name"),
    [(ROWS, 2, "openvino-int8"), (ROWS, 3, "torch"), (199, 1, "torch"), (200, 1, "openvino-int8")],
)
def test_more_than_half_a_point_lost_falls_back_to_fp32(
    model, monkeypatch, capsys, rows, lost, name
):
    monkeypatch.setattr(quantise, "quantised", lambda *_: (b"graph", b"weights"))
    monkeypatch.setattr(quantise, "GraphEngine", damaged(lost))
    monkeypatch.setattr(quantise, "TorchEngine", lambda *_: Saying())
    monkeypatch.setattr(engine, "prove", lambda *_: None)

    built = quantise.build(model, held_out(rows), held_out(rows), 32)

    assert built.name == name
    assert built.metrics["engine_accuracy_difference"] == pytest.approx(-lost / rows, abs=1e-6)
    assert bool(built.files) == (name == "openvino-int8")
    if name == "torch":
        assert f"points of accuracy on {rows} validation rows, over 0.5" in built.note
        assert "warning: the bundle serves in torch fp32" in capsys.readouterr().out


def test_model_that_cannot_be_converted_is_served_in_fp32_and_says_so(model, monkeypatch, capsys):
    def breaks(*_):
        raise RuntimeError("no such\noperation")

    monkeypatch.setattr(quantise, "quantised", breaks)

    built = quantise.build(model, held_out(), held_out(), 32)

    assert (built.name, built.note) == ("torch", "no int8 engine could be made: no such operation")
    assert "warning: the bundle serves in torch fp32" in capsys.readouterr().out


def test_same_model_gives_the_same_engine_whatever_was_made_before(model):
    rows = [[2, 10 + row, 3] for row in range(8)]

    assert quantise.quantised(model, rows) == quantise.quantised(model, rows)


def test_rows_are_spread_evenly_and_never_repeat():
    assert quantise._spread(10, 5) == [0, 2, 4, 6, 8]
    assert quantise._spread(3, 5) == [0, 1, 2]
    assert quantise._spread(0, 5) == []
