"""What computes a bundle's answers: the model itself in torch, or its int8 graph in OpenVINO.

Only the engine that a bundle names is imported: torch takes seconds, and an int8 graph needs none.
"""

import os
import re
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from training.batches import WIDTH, grouped
from training.tokens import pad, padded

GRAPH = "engine.xml"
GRAPH_WEIGHTS = "engine.safetensors"
GRAPH_FILES = (GRAPH, GRAPH_WEIGHTS)
BLOB = "weights"

# More rows at once leave the cores' caches: 1,024 tokens were no quicker, and padding grows.
_TOKENS = 512
# A GPU wants more work at once.
_GPU_TOKENS = 4096
# Batches that may be computed side by side. Threads that share one wait for each other at each of
# its 200 steps: on two cores two batches of one thread each were 15 % quicker than two in turn.
_LANES = (1, 2, 3, 4)
_HEAD = b'<?xml version="1.0"?>\n<net name="'
_LAYERS = re.compile(rb"<layer[\s/>]")
# Operations of OpenVINO's own sets; another one would need an extension, and that is code.
_OWN_LAYERS = re.compile(rb'<layer id="\d+" name="[\w ]+" type="\w+" version="opset\d+">')


Rows = Sequence[Sequence[int]]
Logits = list[NDArray[np.float32]]


class EngineError(Exception):
    """An engine that must not be used; the message says why."""


class Engine(Protocol):
    """Turns batches of rows of token ids into one row of logits each; threads may share it."""

    @property
    def most_tokens(self) -> int:
        """The tokens of one batch, padding counted, beyond which it gets no quicker."""
        ...

    def begin(self, batches: Sequence[Rows]) -> Callable[[], Logits]:
        """Start on them, behind all that was begun before; what it returns waits for the logits."""
        ...


class TorchEngine:
    """The model as it was trained: in full precision on a CPU, in bf16 on a GPU that has it."""

    def __init__(self, model: Any, device: str) -> None:
        self.most_tokens = _TOKENS if device == "cpu" else _GPU_TOKENS
        self._model = model.to(device).eval()
        self._device = device
        self._pad_id = model.config.pad_token_id or 0

    @classmethod
    def load(cls, folder: Path, device: str, threads: int | None) -> Self:
        import torch
        from transformers import AutoModelForSequenceClassification

        quiet()
        if threads:
            torch.set_num_threads(threads)
        try:
            model, loading = AutoModelForSequenceClassification.from_pretrained(  # nosec B615 - a local folder
                folder,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                dtype=torch.float32,
            )
        except Exception as error:  # whatever transformers finds wrong with the files
            raise EngineError(f"the model cannot be built from the files: {error}") from error
        if missing := sorted(loading["missing_keys"]):
            raise EngineError(f"the file lacks {len(missing)} weights, first {missing[0]}")
        for name, weights in model.named_parameters():
            if not torch.isfinite(weights).all():
                raise EngineError(f"{name} holds NaN or infinite weights")
        if device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False):
            model = model.to(torch.bfloat16)
        return cls(model, device)

    def begin(self, batches: Sequence[Rows]) -> Callable[[], Logits]:
        import torch

        with torch.inference_mode():
            inputs = [pad(rows, self._pad_id) for rows in batches]
            found = [
                self._model(**{name: values.to(self._device) for name, values in batch.items()})
                for batch in inputs
            ]

        def end() -> Logits:  # a GPU is still at it
            with torch.inference_mode():
                return [answer.logits.float().cpu().numpy() for answer in found]

        return end


class GraphEngine:
    """A quantised graph; nothing but its own bytes is read, and no extension is ever loaded."""

    most_tokens = _TOKENS

    def __init__(
        self, graph: bytes, weights: bytes, *, pad_id: int, max_length: int, threads: int | None
    ) -> None:
        refuse_graph(graph)
        openvino = library()
        self._pad_id, self._max_length = pad_id, max_length
        self._lock = Lock()
        # The graph reads from this memory for as long as it lives.
        self._weights = _blob(weights)
        core = openvino.Core()
        threads = threads or len(os.sched_getaffinity(0))
        lanes = max(number for number in _LANES if threads % number == 0)
        try:
            model = core.read_model(graph, openvino.Tensor(self._weights))
            compiled = core.compile_model(model, "CPU", _options(threads, 1))
            self._wide = compiled.create_infer_request()  # all threads for one batch
            if lanes > 1:
                compiled = core.compile_model(model, "CPU", _options(threads, lanes))
            self._idle = [compiled.create_infer_request() for _ in range(lanes)]
        except RuntimeError as error:
            raise EngineError(f"OpenVINO cannot build it: {_first_line(error)}") from error
        # First come, first served, and not OpenVINO's own queue, that can only wait for all of it:
        # a lane that is done with one call's batches goes on with those of the next.
        self._lanes = ThreadPoolExecutor(lanes, "lane")
        self._begun: list[Future[NDArray[np.float32]]] = []

    @classmethod
    def load(cls, folder: Path, *, pad_id: int, max_length: int, threads: int | None) -> Self:
        graph, weights = ((folder / name).read_bytes() for name in GRAPH_FILES)
        return cls(graph, weights, pad_id=pad_id, max_length=max_length, threads=threads)

    def begin(self, batches: Sequence[Rows]) -> Callable[[], Logits]:
        inputs = [
            padded(rows, self._pad_id, multiple=WIDTH, most=self._max_length) for rows in batches
        ]
        with self._lock:
            if len(inputs) == 1 and all(one.done() for one in self._begun):
                alone = self._wide.infer(inputs[0])[0].copy()
                return lambda: [alone]
            # The largest first: the last ones to end are small, and no lane waits long for another.
            order = sorted(range(len(inputs)), key=lambda n: -inputs[n]["input_ids"].size)
            self._begun = [self._lanes.submit(self._logits, inputs[number]) for number in order]
            begun = dict(zip(order, self._begun, strict=True))
        return lambda: [begun[number].result() for number in range(len(inputs))]

    def _logits(self, inputs: dict[str, NDArray[np.int64]]) -> NDArray[np.float32]:
        request = self._idle.pop()
        try:
            found: NDArray[np.float32] = request.infer(inputs)[0].copy()
        finally:
            self._idle.append(request)
        return found


def begin(engine: Engine, rows: Rows) -> Callable[[], list[NDArray[np.float64]]]:
    """Start on rows of token ids; what it returns waits for the softmax of each one's logits."""
    batches = grouped([len(row) for row in rows], engine.most_tokens)
    answers = engine.begin([[rows[row] for row in batch] for batch in batches])

    def end() -> list[NDArray[np.float64]]:
        found: dict[int, NDArray[np.float64]] = {}
        for batch, answer in zip(batches, answers(), strict=True):
            logits = answer.astype(np.float64)
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            found.update(zip(batch, powers / powers.sum(axis=1, keepdims=True), strict=True))
        return [found[row] for row in range(len(rows))]

    return end


def prove(engine: Engine, labels: int) -> None:
    """Raise EngineError unless two rows give two finite rows, one value per label, each way."""
    rows = [[1, 2, 3], [1, 2]]
    try:
        answers = engine.begin([rows])() + engine.begin([rows, rows])()
    except (RuntimeError, KeyError) as error:
        raise EngineError(f"cannot answer: {_first_line(error)}") from error
    for found in answers:
        if found.shape != (2, labels):
            raise EngineError(f"answers {found.shape} for 2 rows of {labels} labels")
        if not np.isfinite(found).all():
            raise EngineError("answers NaN or infinity")


def refuse_graph(graph: bytes) -> None:
    """Raise EngineError for anything but a graph of OpenVINO's own operations."""
    if not graph.startswith(_HEAD):
        raise EngineError("is not an OpenVINO graph")
    if b"<!" in graph or graph.count(b"<?") > 1:
        raise EngineError("holds declarations, which a graph has none of")
    if len(_LAYERS.findall(graph)) != len(_OWN_LAYERS.findall(graph)):
        raise EngineError("holds an operation that is not OpenVINO's own")


def quiet() -> None:
    """Keep transformers' reports and bars about weights out of the log; we check them ourselves."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def library() -> Any:
    """OpenVINO, which on its own would report its use to its maker."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _options(threads: int, lanes: int) -> dict[str, object]:
    return {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": lanes,
        "PERFORMANCE_HINT": "LATENCY",
        # Pinned, two processes of one machine would share a core and leave the next idle.
        "ENABLE_CPU_PINNING": False,
        # What is not int8 stays fp32: the answers are those that were measured, on any CPU.
        "INFERENCE_PRECISION_HINT": "f32",
    }


def _blob(weights: bytes) -> NDArray[np.uint8]:
    try:
        tensors = load(weights)
    except SafetensorError as error:
        raise EngineError(f"its weights cannot be read: {error}") from error
    if set(tensors) != {BLOB} or tensors[BLOB].dtype != np.uint8 or tensors[BLOB].ndim != 1:
        raise EngineError(f"its weights are not one row of bytes named {BLOB!r}")
    found: NDArray[np.uint8] = np.array(tensors[BLOB])
    return found


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    # OpenVINO's first lines say where in its own source; the last says what.
    return lines[-1].strip() if lines else type(error).__name__
