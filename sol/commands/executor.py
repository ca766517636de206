"""Which executor a command uses, and with how many workers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sol.errors import SolError, UnknownNameError

if TYPE_CHECKING:
    from sol.search.executors.base import Executor

EXECUTORS = ("auto", "ray", "inline")
_GPUS_ASKED: Mapping[str | None, int | None] = {"cpu": 0, "cuda": 1, None: None}
"""Of each worker on a cluster, by the device that was asked for."""


@dataclass(frozen=True)
class ExecutorChoice:
    """What the user asked for.

    Attributes:
        name: "ray", "inline", or "auto": Ray where it is installed.
        n_workers: None for one a GPU, or one a CPU core up to eight; of a cluster where one is
            joined, of this machine otherwise.
        device: The device that was asked for, None where it was left open.
        worker_memory_gb: Of the host, that a worker takes; None to leave it out of account.

    Raises:
        UnknownNameError: No such executor.
        SolError: Fewer than one worker, or no memory.
    """

    name: str
    n_workers: int | None
    device: str | None
    ray_address: str | None
    worker_memory_gb: float | None = None

    def __post_init__(self) -> None:
        if self.name not in EXECUTORS:
            raise UnknownNameError("executor", self.name, EXECUTORS)
        if self.n_workers is not None and self.n_workers < 1:
            raise SolError(f"--workers must be at least 1, got {self.n_workers}.")
        if self.worker_memory_gb is not None and self.worker_memory_gb <= 0:
            raise SolError(
                f"A worker's memory must be more than 0 GB, got {self.worker_memory_gb:g}."
            )


@contextmanager
def open_executor(choice: ExecutorChoice) -> Iterator[Executor]:
    """Starts it, and closes it however the block ends."""
    executor = _start(choice)
    try:
        yield executor
    finally:
        executor.close()


def _start(choice: ExecutorChoice) -> Executor:
    if choice.name == "inline" or (choice.name == "auto" and find_spec("ray") is None):
        from sol.search.executors.inline import InlineExecutor

        return InlineExecutor()
    from sol.search.executors.placement import MAX_CPU_WORKERS, WorkerNeeds
    from sol.search.executors.ray import RayExecutor

    memory = None if choice.worker_memory_gb is None else int(choice.worker_memory_gb * 1024**3)
    if choice.ray_address is not None:
        needs = WorkerNeeds(gpus=_GPUS_ASKED[choice.device], memory_bytes=memory)
        return RayExecutor(choice.n_workers, needs, choice.ray_address)
    n_gpus = _count_gpus() if choice.device != "cpu" else 0
    n_workers = choice.n_workers or n_gpus or min(os.cpu_count() or 1, MAX_CPU_WORKERS)
    return RayExecutor(n_workers, WorkerNeeds(gpus=min(n_gpus, 1), memory_bytes=memory))


def _count_gpus() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
