"""What a piece of work takes in a process of its own."""

import importlib
import multiprocessing
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Taken(NamedTuple, Generic[T]):
    """What the work answered, and what it took."""

    told: T
    seconds: float
    cpu_s: float
    mib: float


def alone(work: Callable[[Path], T], path: Path, modules: Sequence[str] = ()) -> Taken[T]:
    """In a fresh process: a peak of memory never goes down again.

    What the work imports is part of it, but for the named modules.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (work, path, modules))


def _measured(work: Callable[[Path], T], path: Path, modules: Sequence[str]) -> Taken[T]:
    for name in modules:
        importlib.import_module(name)
    began, used = time.perf_counter(), time.process_time()
    told = work(path)
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    return Taken(told, seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
