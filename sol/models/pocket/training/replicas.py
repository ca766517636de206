"""Processes that train one model together: each draws its own data, gradients are averaged."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import distributed, nn
from torch.multiprocessing.spawn import spawn


@dataclass(frozen=True)
class Replica:
    """One of `count` processes. On a CPU two of one thread each beat one of two threads."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files and sets the pace."""
        return self.rank == 0

    def average_gradients(self, model: nn.Module) -> None:
        """Replaces every gradient by its mean over the processes."""
        if self.count == 1:
            return
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        parts = torch.split(flat / self.count, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def follow(self, value: float) -> float:
        """The first process's value, so that all of them stop and slow down together."""
        if self.count == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        distributed.broadcast(shared, src=0)
        return float(shared)

    def wait(self) -> None:
        """Returns once every process got here."""
        if self.count > 1:
            distributed.barrier()


def run_replicas(count: int, work: Callable[[Replica], None]) -> None:
    """Calls `work` in `count` processes, or in this one if it is alone.

    Args:
        count: Processes, 1 or more.
        work: Picklable.
    """
    if count == 1:
        work(Replica())
        return
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder) / "meeting"
        spawn(_join, (count, meeting, work), nprocs=count)  # type: ignore[no-untyped-call]


def _join(rank: int, count: int, meeting: Path, work: Callable[[Replica], None]) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=meeting.as_uri(), rank=rank, world_size=count
    )
    try:
        work(Replica(rank, count))
    finally:
        distributed.destroy_process_group()
