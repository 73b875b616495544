"""Make the int8 engine of a trained model, and keep it only if it answers as well.

The bound: on the validation rows (at most 2,000, spread evenly) both engines answer every row. Rows
that only fp32 has right, less those that only int8 has right, may be at most 0.5 % of them; with
fewer than 200 rows that is not one row.
"""

import re
import tempfile
import time
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from training import engine
from training.data import Examples
from training.engine import BLOB, GRAPH, GRAPH_WEIGHTS, GraphEngine, TorchEngine
from training.first_token import only_first_token
from training.formats import Engine
from training.tokens import padded

MOST_LOST = 0.005
_CALIBRATION_ROWS = 48
_CALIBRATION_TOKENS = 128
_MEASURED_ROWS = 2000
_LAYER_NAME = re.compile(rb'(<layer id="(\d+)" name=)"[^"]*"')
_NET_NAME = re.compile(rb'<net name="[^"]*"')


@dataclass(frozen=True, slots=True)
class Built:
    """The engine that a bundle gets: its files, how it compares to fp32, why it is the slow one."""

    name: Engine = "torch"
    files: dict[str, bytes] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    note: str | None = None


def build(model: Any, learned: Examples, held_out: Examples, max_length: int) -> Built:
    """The int8 engine, or the precise one with a note that says why."""
    began = time.perf_counter()
    try:
        graph, weights = quantised(model, learned.ids)
        fast = GraphEngine(
            graph,
            weights,
            pad_id=model.config.pad_token_id or 0,
            max_length=max_length,
            threads=None,
        )
        engine.prove(fast, model.config.num_labels)
    # Whatever a converter meets in a model it does not know: hours of training are not thrown
    # away for speed, but the loss of speed is told in the log, the manifest and the flow's page.
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        return _precise(f"no int8 engine could be made: {reason}", {})
    took = time.perf_counter() - began
    metrics, line = compare(TorchEngine(model, "cpu"), fast, held_out)
    print(f"engine openvino-int8: made in {took:.1f} s; {line}", flush=True)
    lost = -metrics["engine_accuracy_difference"]
    # The difference is a quotient of row counts; rounding must not refuse exactly the bound.
    if lost > MOST_LOST + 1e-9:
        return _precise(
            f"int8 loses {lost * 100:.2f} points of accuracy on {metrics['engine_rows']:.0f}"
            f" validation rows, over {MOST_LOST * 100:g}",
            metrics,
        )
    return Built("openvino-int8", {GRAPH: graph, GRAPH_WEIGHTS: weights}, metrics)


def quantised(model: Any, rows: Sequence[Sequence[int]]) -> tuple[bytes, bytes]:
    """Graph and weights in int8, calibrated on rows spread evenly; same model, same bytes."""
    openvino = engine.library()
    import nncf

    pad_id = model.config.pad_token_id or 0
    graph = converted(model, pad_id)
    sample = [rows[at][:_CALIBRATION_TOKENS] for at in _spread(len(rows), _CALIBRATION_ROWS)]
    with redirect_stdout(StringIO()):  # progress bars
        graph = nncf.quantize(
            graph,
            nncf.Dataset([padded([row], pad_id) for row in sample]),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(sample),
        )
    only_first_token(graph)
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / GRAPH
        openvino.save_model(graph, file, compress_to_fp16=False)
        blob = np.fromfile(file.with_suffix(".bin"), np.uint8)
        # The converter counts its names up over the life of the process.
        text = _LAYER_NAME.sub(rb'\1"n\2"', file.read_bytes())
        return _NET_NAME.sub(b'<net name="engine"', text), save({BLOB: blob})


def converted(model: Any, pad_id: int) -> Any:
    """The model as OpenVINO's graph, in full precision."""
    import torch

    openvino = engine.library()
    example = {name: torch.from_numpy(v) for name, v in padded([[1] * 9, [1] * 7], pad_id).items()}
    shapes = [(name, [-1, -1], openvino.Type.i64) for name in example]
    with torch.no_grad(), warnings.catch_warnings():
        # Tracing a library's model warns of its Python branches; the answers are compared later.
        warnings.simplefilter("ignore")
        return openvino.convert_model(_logits_of(model.eval()), example_input=example, input=shapes)


def compare(
    precise: engine.Engine, fast: engine.Engine, held_out: Examples
) -> tuple[dict[str, float], str]:
    """How the fast engine's answers differ from the precise one's, and a line for the log."""
    at = _spread(len(held_out), _MEASURED_ROWS)
    truth = np.array([held_out.labels[row] for row in at])
    rows = [held_out.ids[row] for row in at]
    (wanted, slow_s), (found, fast_s) = _answers(precise, rows), _answers(fast, rows)
    right, still = wanted.argmax(1) == truth, found.argmax(1) == truth
    metrics = {
        "engine_rows": float(len(rows)),
        "engine_accuracy_difference": round((int(still.sum()) - int(right.sum())) / len(rows), 6),
        "engine_agreement": round(float((wanted.argmax(1) == found.argmax(1)).mean()), 6),
        "engine_max_probability_difference": round(float(np.abs(wanted - found).max()), 4),
    }
    line = (
        f"{len(rows) / fast_s:.0f} rows/s, fp32 {len(rows) / slow_s:.0f}; on {len(rows)} validation"
        f" rows accuracy {metrics['engine_accuracy_difference']:+.4f}, agreement"
        f" {metrics['engine_agreement']:.4f}"
    )
    return metrics, line


def _precise(note: str, metrics: dict[str, float]) -> Built:
    print(f"warning: the bundle serves in torch fp32, slower: {note}", flush=True)
    return Built(metrics=metrics, note=note)


def _answers(
    answering: engine.Engine, rows: Sequence[Sequence[int]]
) -> tuple[NDArray[np.float64], float]:
    """Probabilities in the order of the rows, and the seconds they took."""
    began = time.perf_counter()
    found = np.stack(engine.begin(answering, rows)())
    return found, time.perf_counter() - began


def _spread(rows: int, most: int) -> list[int]:
    """At most `most` row numbers, evenly through all of them."""
    return sorted({row * rows // min(rows, most) for row in range(min(rows, most))})


def _logits_of(model: Any) -> Any:
    """The model as a function of two tensors, which is what a tracer takes."""
    import torch

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.model(
                input_ids=input_ids, attention_mask=attention_mask
            ).logits
            return logits

    return Logits()
