"""The engine of a bundle without a server, for `bench.serving`: a process that measures on demand.

Each line on standard input names what to measure and for how many seconds; each line on standard
output is the answer in JSON.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

import torch

from bench import gemm
from training import bundle
from training.bundle import Classifier
from training.engine import TorchEngine

# So many texts may wait at the highest concurrency: what of them shares a batch is the engine's.
_WINDOW = 128
_BATCH = 32


class Engine:
    """A bundle's own engine, and torch fp32 as the truth about its weights."""

    def __init__(self, folder: Path, texts: list[str], labelled: list[str]) -> None:
        threads = len(os.sched_getaffinity(0))
        torch.set_num_threads(threads)
        self._folder, self._texts, self._labelled = folder, texts, labelled
        self._classifier = Classifier.load(folder, threads=threads)
        self._config = json.loads((folder / "config.json").read_text("utf-8"))
        self._lengths = [len(one.ids) for one in self._classifier.encode(texts)]

    def fp32(self, _: float) -> dict[str, object]:
        """What torch fp32 says of each text and of those with labels; how long the texts are."""
        manifest = bundle.verify(self._folder)
        engine = TorchEngine.load(self._folder, "cpu", None)
        precise = Classifier(manifest, self._classifier._encoder, engine)
        return {
            "fp32": [one.label for one in precise.predict(self._texts)],
            "labelled": [one.label for one in precise.predict(self._labelled)],
            "lengths": self._lengths,
            "engine": manifest.engine,
        }

    def many(self, seconds: float) -> dict[str, object]:
        """Texts per second when so many wait that the engine may choose, and operations."""
        return self._rate(seconds, _WINDOW)

    def batches(self, seconds: float) -> dict[str, object]:
        """The same in batches of 32 as the texts come."""
        return self._rate(seconds, _BATCH)

    def single(self, seconds: float) -> dict[str, object]:
        """Median milliseconds of one text at a time."""
        taken, ends, number = [], time.perf_counter() + seconds, 0
        while time.perf_counter() < ends:
            began = time.perf_counter()
            self._classifier.predict([self._texts[number % len(self._texts)]])
            taken.append(time.perf_counter() - began)
            number += 1
        return {"p50_ms": statistics.median(taken) * 1e3}

    def limits(self, _: float) -> dict[str, object]:
        return {"fp32": gemm.fp32(), "bf16": gemm.bf16(), "int8": gemm.int8()}

    def _rate(self, seconds: float, size: int) -> dict[str, object]:
        done, asked, start = 0, 0.0, 0
        self._classifier.predict(self._texts[:size])
        began, spent = time.perf_counter(), time.process_time()
        while time.perf_counter() < began + seconds:
            batch = self._texts[start : start + size]
            self._classifier.predict(batch)
            asked += gemm.asked(self._config, self._lengths[start : start + size])
            done += len(batch)
            start = start + size if start + size < len(self._texts) else 0
        taken, spent = time.perf_counter() - began, time.process_time() - spent
        return {"rate": done / taken, "gops": asked / taken / 1e9, "cpu_ms": spent / done * 1e3}


def main() -> None:
    """Answer until standard input ends."""
    engine = Engine(Path(sys.argv[1]), *json.loads(sys.stdin.readline()))
    print(json.dumps({}), flush=True)
    for line in sys.stdin:
        name, seconds = line.split()
        print(json.dumps(getattr(engine, name)(float(seconds))), flush=True)


if __name__ == "__main__":
    main()
