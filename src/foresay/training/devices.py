"""Processes and devices: one process alone, or one of those that torchrun started, and the device that it computes on."""

import ctypes
import gc
import os
import platform
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from foresay.errors import UserError


@dataclass(frozen=True)
class Process:
    """This process among all of them, and its device."""

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def number(self, value: Tensor | float) -> Tensor:
        """Put a number, or a tensor (), on the device: (), as exactly as the device can, without waiting for it."""
        exact = torch.float32 if self.device.type == "mps" else torch.float64
        if isinstance(value, Tensor):
            return value.detach().to(self.device, exact, non_blocking=True)
        return torch.full((), value, dtype=exact, device=self.device)

    def added(self, values: Tensor) -> Tensor:
        """Add up the tensors (…, D) of all processes, on the device, without waiting for it."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def summed(self, values: list[float]) -> list[float]:
        """Sum each value over all processes, and wait for it."""
        if self.world == 1:
            return values
        summed: list[float] = self.added(torch.tensor(values, dtype=torch.float64, device=self.device)).tolist()
        return summed

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.world > 1:
            dist.barrier()

    def gathered(self, item: Any) -> list[Any]:  # noqa: ANN401 - anything that pickles between our own processes
        """Collect one object of each process, by rank."""
        items: list[Any] = [item] * self.world
        if self.world > 1:
            dist.all_gather_object(items, item)
        return items


M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of glibc's `mallopt` (malloc.h)."""


def keep_freed_memory() -> None:
    """Ask the C library to keep freed memory, because every training step needs the same hundreds of megabytes again.

    By default glibc returns large blocks to the system, which zeroes them page by page before the next step: a fifth of a CPU step.
    Where there is no glibc, nothing happens.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def give_back_freed_memory() -> None:
    """Let the C library return what lies idle: now and then, for blocks of many sizes leave ever more holes between them.

    Batches of utterances, no two of them equally long, would fill gigabytes so. Where there is no glibc, nothing happens.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def find_process(device: str | None) -> Process:
    """Choose the device (`None`: a GPU if there is one) and join the other processes if torchrun started this one."""
    world = _world()
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if kind == "cuda":
        kind = f"cuda:{_from_environment('LOCAL_RANK', 0)}"
    try:
        chosen = torch.device(kind)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        why = str(error).splitlines()[0]
        msg = f"device {kind!r} cannot be used here ({why}). `foresay doctor` lists the devices there are; cpu always works."
        raise UserError(msg) from error
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)  # where NCCL puts what processes send each other
    if world > 1 and not dist.is_initialized():
        try:
            dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
        except (RuntimeError, ValueError) as error:
            meeting = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
            why = str(error).splitlines()[0]
            msg = f"the {world} processes of this job could not meet at {meeting} ({why}): start all of them with one torchrun command"
            raise UserError(msg) from error
    return Process(chosen, dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else Process(chosen)


def _world() -> int:
    """Return how many processes torchrun started, from environment variables, of which all must be set or none.

    Raises:
        UserError: a variable is missing, or makes no sense.
    """
    world, rank = _from_environment("WORLD_SIZE", 1), _from_environment("RANK", 0)
    missing = [name for name in MEETING if not os.environ.get(name)] if world > 1 else []
    if missing:
        msg = f"WORLD_SIZE={world} says that {world} processes work together, but {' and '.join(missing)} is not set. {START}"
        raise UserError(msg)
    if world < 1 or not 0 <= rank < world:
        msg = f"RANK={rank} and WORLD_SIZE={world} do not fit: RANK goes from 0 to WORLD_SIZE - 1. {START}"
        raise UserError(msg)
    if world > 1:
        _from_environment("MASTER_PORT", 0)
    return world


def _from_environment(name: str, default: int) -> int:
    value = os.environ.get(name) or str(default)
    if not value.isdecimal():
        msg = f"the environment says {name}={value!r}, and a whole number is needed. {START}"
        raise UserError(msg)
    return int(value)


MEETING = ("RANK", "MASTER_ADDR", "MASTER_PORT")
START = (
    "torchrun sets these variables: start with `torchrun --nproc-per-node 2 -m -- foresay pretrain …`, or unset them, to train in one "
    "process"
)


def leave() -> None:
    """Part from the other processes, if there are any: last of all, since they cannot meet again.

    Not after an error: they may still wait for this one, and torchrun ends them. What trained must be gone: where DDP outlives
    the connections that it used, torch may wait for ever.
    """
    if dist.is_initialized():
        gc.collect()
        dist.destroy_process_group()


def speaks() -> bool:
    """Whether this process was started alone, or is the one that speaks for all that torchrun started."""
    return os.environ.get("RANK", "0") == "0"
