"""Which executor a command uses, and with how many workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sol.errors import SolError, UnknownNameError

if TYPE_CHECKING:
    from sol.search.executors.base import Executor

EXECUTORS = ("auto", "ray", "inline")
_MAX_CPU_WORKERS = 8


@dataclass(frozen=True)
class ExecutorChoice:
    """What the user asked for.

    Attributes:
        name: "ray", "inline", or "auto": Ray where it is installed.
        n_workers: None for one a GPU, or one a CPU core up to eight.
        device: The device that was asked for, None where it was left open.

    Raises:
        UnknownNameError: No such executor.
        SolError: Fewer than one worker.
    """

    name: str
    n_workers: int | None
    device: str | None
    ray_address: str | None

    def __post_init__(self) -> None:
        if self.name not in EXECUTORS:
            raise UnknownNameError("executor", self.name, EXECUTORS)
        if self.n_workers is not None and self.n_workers < 1:
            raise SolError(f"--workers must be at least 1, got {self.n_workers}.")


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
    from sol.search.executors.ray import RayExecutor

    n_gpus = _count_gpus() if choice.device != "cpu" else 0
    n_workers = choice.n_workers or n_gpus or min(os.cpu_count() or 1, _MAX_CPU_WORKERS)
    return RayExecutor(n_workers, gpus=1 if n_gpus else 0, address=choice.ray_address)


def _count_gpus() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
