"""A bundle's int8 engine beside torch fp32 and beside the int8 limit of the cores, same texts.

Both are loaded by the code that serves and take turns with one large matrix product. The share of
the limit counts operations for real tokens only, padding is none, per second that the process had
of a core, and the product runs after each batch: what else the machine does takes from both alike.
They are the operations of the model: those of the last layer count for tokens, too, for which the
int8 engine has no need of them (`training/first_token.py`).

The ratio of the two is per second of a core too: OMP_WAIT_POLICY=PASSIVE is fair to torch, whose
threads otherwise spin while they wait.
"""

import argparse
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from bench import gemm, standin, traffic
from training import bundle
from training.bundle import Classifier
from training.engine import TorchEngine

RATIO = 2.0
LOSS = 0.005
SHARE = 0.35
BATCH = 32


@dataclass(slots=True)
class Rates:
    """One engine, in its turns."""

    classifier: Classifier
    texts_per_s: list[float] = field(default_factory=list)
    gop_per_cpu_s: list[float] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    single_ms: list[float] = field(default_factory=list)

    def turn(self, texts: list[str], operations: float) -> None:
        """The texts once, in batches as they come, and some of them alone."""
        seconds = cpu = 0.0
        for start in range(0, len(texts), BATCH):
            began, used = time.perf_counter(), time.process_time()
            self.classifier.predict(texts[start : start + BATCH])
            seconds += time.perf_counter() - began
            cpu += time.process_time() - used
            self.limits.append(one_core())
        self.texts_per_s.append(len(texts) / seconds)
        self.gop_per_cpu_s.append(operations / cpu / 1e9)
        for text in texts[:8]:
            began = time.perf_counter()
            self.classifier.predict([text])
            self.single_ms.append((time.perf_counter() - began) * 1e3)


def main() -> int:
    """Print the table; 1 with --check when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, help="one that is trained for it by default")
    parser.add_argument("--most", type=int, default=2000, help="texts to compare the answers on")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    folder = asked.bundle or standin.bundle(traffic.source())
    manifest = bundle.verify(folder)
    if manifest.engine == "torch":
        parser.error(f"{folder}: its engine is torch: {manifest.engine_note}")
    torch.set_num_threads(asked.threads)
    fast = Classifier.load(folder, threads=asked.threads)
    precise = Classifier(manifest, fast._encoder, TorchEngine.load(folder, "cpu", asked.threads))
    engines = {"torch fp32": Rates(precise), manifest.engine: Rates(fast)}
    measure(engines, traffic.stream(3 * BATCH), folder, asked.turns)
    rows = traffic.labelled(asked.most)
    answers = {
        name: [one.label for one in rates.classifier.predict([row.text for row in rows])]
        for name, rates in engines.items()
    }
    return report(engines, rows, answers, check=asked.check)


def measure(engines: dict[str, Rates], texts: list[str], folder: Path, turns: int) -> None:
    """Let the engines take turns at the same texts."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    classifier = engines["torch fp32"].classifier
    operations = gemm.asked(config, [len(one.ids) for one in classifier.encode(texts)])
    for rates in engines.values():
        rates.classifier.predict(texts)
    for _ in range(turns):
        for rates in engines.values():
            rates.turn(texts, operations)


def one_core() -> float:
    """Int8 GOP/s of one core; threads that wait for each other would lower the limit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return gemm.int8(3, clock=time.process_time)
    finally:
        torch.set_num_threads(threads)


def report(
    engines: dict[str, Rates],
    rows: list[traffic.Text],
    answers: dict[str, list[str]],
    *,
    check: bool,
) -> int:
    print(f"{'':16}{'texts/s':>10}{'alone ms':>10}{'GOP/cpu s':>11}{'of int8':>9}{'accuracy':>10}")
    right, share = {}, {}
    for name, rates in engines.items():
        rated = statistics.median(rates.gop_per_cpu_s)
        share[name] = rated / statistics.median(rates.limits)
        found = zip(answers[name], rows, strict=True)
        right[name] = sum(label == row.label for label, row in found) / len(rows)
        print(
            f"{name:16}{statistics.median(rates.texts_per_s):>10.1f}{statistics.median(rates.single_ms):>10.1f}"
            f"{rated:>11.0f}{share[name]:>9.2f}{right[name]:>10.4f}"
        )
    slow, fast = engines
    ratio, lost = share[fast] / share[slow], right[slow] - right[fast]
    same = sum(a == b for a, b in zip(*answers.values(), strict=True)) / len(rows)
    limit = statistics.median(engines[fast].limits)
    print(
        f"int8 limit of one core {limit:.0f} GOP/s, share {share[fast]:.2f} (goal {SHARE});"
        f" ratio {ratio:.2f} (goal {RATIO}); accuracy {-lost:+.4f} (floor -{LOSS}) and"
        f" agreement {same:.4f} on {len(rows)} texts"
    )
    reached = ratio >= RATIO and lost <= LOSS and share[fast] >= SHARE
    return 1 if check and not reached else 0


if __name__ == "__main__":
    sys.exit(main())
