"""What the machine's cores can multiply at most, and what a BERT-like model asks of them."""

import time
import warnings
from collections.abc import Callable, Iterable, Mapping

import torch

_SIZE = 1024


def fp32(times: int = 10) -> float:
    """GFLOP/s of a large matrix product with torch's threads; the best of a few."""
    one, other = torch.rand(_SIZE, _SIZE), torch.rand(_SIZE, _SIZE)
    return _best(lambda: one @ other, times)


def bf16(times: int = 10) -> float:
    """The same in bf16; below fp32 where the CPU has no instructions for it."""
    one, other = (torch.rand(_SIZE, _SIZE).bfloat16() for _ in range(2))
    return _best(lambda: one @ other, times)


def int8(times: int = 10, clock: Callable[[], float] = time.perf_counter) -> float:
    """The same in int8 (operations, not floating point), by oneDNN, as OpenVINO does it.

    With `time.process_time` it is per second that the process had of a core: one thread, then.
    """
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = "onednn"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch will one day move these functions
            ones = torch.quantize_per_tensor(torch.rand(_SIZE, _SIZE), 0.01, 64, torch.quint8)
            weights = torch.quantize_per_tensor(torch.rand(_SIZE, _SIZE), 0.01, 0, torch.qint8)
            packed = torch.ops.quantized.linear_prepack(weights, None)
            return _best(lambda: torch.ops.quantized.linear(ones, packed, 0.01, 64), times, clock)
    finally:
        torch.backends.quantized.engine = before


def asked(config: Mapping[str, int], lengths: Iterable[int]) -> float:
    """Operations of the matrix products for texts of these lengths in tokens; padding is none."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    per_token = 8 * hidden**2 + 4 * hidden * inner
    layers = config["num_hidden_layers"]
    return float(sum(layers * (n * per_token + 4 * n * n * hidden) for n in lengths))


def _best(
    product: Callable[[], object], times: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    product()
    seconds = []
    for _ in range(times):
        began = clock()
        product()
        seconds.append(clock() - began)
    return 2 * _SIZE**3 / min(seconds) / 1e9
