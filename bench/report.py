"""The tables of `bench.serving`."""

import importlib.metadata
import json
import math
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.goals import Goal, Run, judged
from bench.measures import Measured
from bench.traffic import Text


def print_machine(texts: list[str], truth: Mapping[str, Any], bundle: Path) -> None:
    """What the figures are of."""
    lengths = sorted(truth["lengths"])
    packages = ("openvino", "torch", "transformers", "litserve", "uvicorn")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"{time.strftime('%Y-%m-%d %H:%M')}, {cores} cores ({_cpu()}), load {load:.1f}")
    print(f"Python {platform.python_version()}, {versions}")
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    most = manifest["max_length"]
    print(f"{manifest['base_model']}, engine {truth['engine']}, at most {most} tokens")
    middle, long = lengths[len(lengths) // 2], lengths[len(lengths) * 95 // 100]
    mean = sum(lengths) / len(lengths)
    print(f"{len(texts)} texts of {lengths[0]} to {lengths[-1]} tokens,", end=" ")
    print(f"mean {mean:.0f}, median {middle}, p95 {long};", end=" ")
    print(f"accuracy on {len(truth['labelled'])} others", flush=True)


def print_all(run: Run, ours: str, truth: Mapping[str, Any], rows: list[Text]) -> list[Goal]:
    """Every table, and the goals."""
    _print_closed(run, ours, _agreement(run, truth))
    _print_open(run.opened)
    _print_engine(run, truth["engine"])
    found = judged(run, ours, truth["engine"], _accuracy_lost(run, ours, truth["labelled"], rows))
    print("\ngoals" + "".join(f"\n{goal}" for goal in found))
    return found


def _print_closed(run: Run, ours: str, agreement: Mapping[str, float]) -> None:
    """Servers at each concurrency; `of ours` is how many times more requests ours answers."""
    print("\nclosed loop, no cache (ms; cpu ms: of the server for one answer; cores taken)")
    _head("agreement", "ours is")
    for (name, level), one in run.closed.items():
        mine = run.closed[ours, level].rps
        ratio = f"{mine / one.rps:.2f}x" if one.rps else "-"
        same = f"{agreement[name]:.3f}" if name in agreement else "-"
        print(f"{name:18}{level:>7}{_figures(one)}{same:>11}{ratio:>9}")
    if run.hits:
        print("\nclosed loop, every text in the cache")
        _head()
        for level, one in run.hits.items():
            print(f"{'cache hits':18}{level:>7}{_figures(one)}")


def _print_open(opened: Mapping[tuple[str, float], Measured]) -> None:
    """Latency counts from when a request was due."""
    if opened:
        print("\nopen loop, no cache, at a share of the server's own peak")
        _head()
        for (name, share), one in opened.items():
            print(f"{name:18}{share:>7.0%}{_figures(one)}")


def _print_engine(run: Run, name: str) -> None:
    """The engine alone, what the machine can do, and overload."""
    print(f"\nengine {name} alone, same texts, no server")
    for what, told in (("many", "128 wait"), ("batches", "batches of 32 as they come")):
        rate, gops = run.of_engine(what, "rate"), run.of_engine(what, "gops")
        each = run.of_engine(what, "cpu_ms")
        print(f"{told:28}{rate:>8.1f} texts/s {each:>8.2f} cpu ms each {gops:>8.1f} GOP/s")
    print(f"{'one by one':28}{run.of_engine('single', 'p50_ms'):>8.2f} ms")
    limits = ", ".join(
        f"{kind} {run.of_engine('limits', kind):.0f}" for kind in ("fp32", "bf16", "int8")
    )
    print(f"the machine's matrix product, GOP/s: {limits}")
    over, beside = run.overload, run.beside_overload
    print(f"\noverload: {beside.rps:.1f} answers/s at the peak; at twice that rate, open loop,")
    print(f"{over.goodput:.1f} in time, p99 of the answered {over.ms(0.99):.0f} ms,", end=" ")
    print(f"{dict(over.statuses)}")


def _agreement(run: Run, truth: Mapping[str, Any]) -> dict[str, float]:
    """How many texts each server gives the label that torch fp32 gives."""
    found = {}
    for name in run.labels:
        if said := _said(run, name):
            found[name] = sum(truth["fp32"][at] == label for at, label in said.items()) / len(said)
    return found


def _accuracy_lost(run: Run, name: str, fp32: list[str], rows: list[Text]) -> float:
    """Accuracy of fp32 less that of the server's answers, on the texts whose label is known."""
    said = _labels(run, name, [run.labelled])
    if not said or not {rows[at].label for at in said} & set(fp32):
        return math.nan
    right: int = sum(fp32[at] == rows[at].label for at in said)
    return (right - sum(label == rows[at].label for at, label in said.items())) / len(said)


def _said(run: Run, name: str) -> dict[int, str]:
    return _labels(run, name, [one for (server, _), one in run.closed.items() if server == name])


def _labels(run: Run, name: str, measured: list[Measured]) -> dict[int, str]:
    return {
        int(at): run.labels[name](answer)
        for one in measured
        for outcome in one.outcomes
        for at, answer in outcome.answers.items()
    }


def _head(*more: str) -> None:
    columns = "".join(f"{name:>9}" for name in ("rps", "p50", "p95", "p99", "errors"))
    extra = "".join(f"{name:>{width}}" for name, width in zip(more, (11, 9), strict=False))
    print(f"{'':18}{'load':>7}{columns}{'cpu ms':>8}{'server':>8}{'load':>7}{extra}")


def _figures(one: Measured) -> str:
    times = "".join(f"{one.ms(share):>9.1f}" for share in (0.5, 0.95, 0.99))
    each = f"{one.server_cores / one.rps * 1e3:>8.2f}" if one.rps else f"{'-':>8}"
    cores = f"{one.server_cores:>8.2f}{one.load_cores:>7.2f}"
    return f"{one.rps:>9.1f}{times}{one.errors:>9}{each}{cores}"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
