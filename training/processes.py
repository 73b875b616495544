"""This process among those that train together, and the arithmetic its processor is good at."""

import ctypes
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as group
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from training.container import JobEnvironment, read_config

_PORT = 29500
# mallopt(3): M_TRIM_THRESHOLD and M_MMAP_THRESHOLD, and the most it takes.
_MALLOPT, _MOST = (-1, -3), 2**30


@dataclass(frozen=True, slots=True)
class Process:
    rank: int
    world: int
    device: str

    @property
    def first(self) -> bool:
        """The one that writes files and talks to MLflow."""
        return self.rank == 0

    def agree(self, number: int) -> int:
        """The number that the first process has, for all of them."""
        if self.world == 1:
            return number
        shared = torch.tensor([number], device=self.device)
        group.broadcast(shared, src=0)
        return int(shared.item())

    def same(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give all processes the values that the first one has."""
        for tensor in tensors if self.world > 1 else ():
            group.broadcast(tensor, src=0)

    def average(self, tensors: Sequence[torch.Tensor]) -> None:
        """The mean over all processes, in place and in one exchange."""
        if self.world == 1:
            return
        flat = parameters_to_vector(tensors)
        group.all_reduce(flat)
        vector_to_parameters(flat / self.world, tensors)


@contextmanager
def joined(environment: JobEnvironment) -> Iterator[Process]:
    """Join the processes that RANK and WORLD_SIZE speak of; alone when they are not set."""
    _keep_memory()
    cuda = torch.cuda.is_available()
    device = f"cuda:{environment.LOCAL_RANK}" if cuda else "cpu"
    if environment.RANK is None or environment.WORLD_SIZE == 1:
        yield Process(0, 1, device)
        return
    # torchrun gives each process one thread unless told otherwise.
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(max(1, cores // environment.LOCAL_WORLD_SIZE))
    if cuda:
        torch.cuda.set_device(environment.LOCAL_RANK)
    group.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(hours=2))
    try:
        yield Process(environment.RANK, environment.WORLD_SIZE, device)
    finally:
        group.destroy_process_group()


def _keep_memory() -> None:
    """Freed memory stays with this process: each step asks for the same large blocks again.

    By default glibc hands them back and the kernel zeroes them anew, a tenth of a step's time.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        for setting in _MALLOPT:
            mallopt(setting, _MOST)


def spread(environment: JobEnvironment, arguments: Sequence[str]) -> None:
    """Become torchrun when the job has several hosts or graphics processors; else return."""
    resources = read_config(environment.SAGEMAKER_BASE_DIR, "resourceconfig")
    hosts = sorted(resources.get("hosts", ["algo-1"]))
    processes = max(1, torch.cuda.device_count())
    if environment.RANK is not None or len(hosts) * processes == 1:
        return
    command = [
        *(sys.executable, "-m", "torch.distributed.run"),
        *("--nnodes", str(len(hosts)), "--nproc-per-node", str(processes)),
        *("--node-rank", str(hosts.index(resources.get("current_host", hosts[0])))),
        *("--master-addr", hosts[0] if len(hosts) > 1 else "127.0.0.1"),
        *("--master-port", str(_PORT), "-m", "training.train", *arguments),
    ]
    sys.stdout.flush()
    os.execv(command[0], command)  # nosec B606 - our own interpreter, no shell


@dataclass(frozen=True, slots=True)
class Precision:
    """How numbers are held during the forward pass; weights stay in fp32."""

    name: str
    dtype: torch.dtype | None

    @classmethod
    def choose(cls, device: str, wanted: str = "auto") -> "Precision":
        """bf16 where the processor computes in it, fp16 on older graphics processors."""
        if wanted == "fp32":
            return cls("fp32", None)
        if device.startswith("cuda"):
            if torch.cuda.is_bf16_supported(including_emulation=False):
                return cls("bf16", torch.bfloat16)
            return cls("fp16", torch.float16)
        if _processor_has_bf16():
            return cls("bf16", torch.bfloat16)
        return cls("fp32", None)

    def autocast(self, device: str) -> torch.autocast:
        kind = device.split(":")[0]
        return torch.autocast(kind, dtype=self.dtype, enabled=self.dtype is not None)


def _processor_has_bf16() -> bool:
    """Only hardware counts: emulated bf16 is slower than fp32."""
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(probe() for name in probes if (probe := getattr(torch.cpu, name, None)))
