"""Where and how a training runs: what the autoencoder's and the denoiser's have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sol.models.pocket.training.matmul_attention import MatmulAttention
from sol.models.pocket.training.pacing import Cadence, Pace
from sol.models.pocket.training.replicas import Replica

_REPORT_EVERY = 50


@dataclass(frozen=True)
class Setting:
    """One training run on one machine.

    Attributes:
        folder: Of checkpoints and results.
        seed: Of the weights at the start and of all data.
        device: "cpu" or "cuda".
        batch: Short clips a step and process; other batches follow from it.
        report: Takes a line of progress.
    """

    folder: Path
    seed: int
    device: torch.device
    batch: int
    replica: Replica
    report: Callable[[str], None]

    @contextmanager
    def mixed_precision(self) -> Iterator[None]:
        """Autocast to bfloat16; on a CPU with attention that is faster there."""
        attention = MatmulAttention() if self.device.type == "cpu" else nullcontext()
        with torch.autocast(self.device.type, torch.bfloat16), attention:
            yield

    def part_of_batch(self, share: float) -> int:
        """How many clips a share of the batch is, one at least."""
        return max(1, round(self.batch * share))

    def draw_anew(self, n_steps: int) -> None:
        """Seeds torch for what follows step `n_steps`, differently in every process."""
        torch.manual_seed(self.seed + self.replica.rank + self.replica.count * n_steps)


@dataclass(frozen=True)
class Chore:
    """What the first process does every so many seconds, and at the end."""

    every_s: float
    do: Callable[[], None]


def run_steps(
    setting: Setting,
    pace: Pace,
    losses: list[float],
    step: Callable[[float], float],
    chores: Sequence[Chore],
) -> None:
    """Steps until the time is used, in all processes alike, and reports the mean loss.

    Args:
        setting: Where.
        pace: The first process's is followed by all.
        losses: Grows by one a step.
        step: Takes the fraction of the time that is used, returns the loss.
        chores: In order.
    """
    setting.draw_anew(len(losses))
    cadences = [(Cadence(pace, chore.every_s), chore.do) for chore in chores]
    while (progress := setting.replica.follow(pace.progress())) < 1:
        losses.append(step(progress))
        if not setting.replica.is_first:
            continue
        if len(losses) % _REPORT_EVERY == 0:
            mean = np.mean(losses[-_REPORT_EVERY:])
            setting.report(f"step {len(losses)} loss {mean:.4f} {pace.elapsed_s():.0f} s")
        for cadence, do in cadences:
            if cadence.is_due():
                do()
    if setting.replica.is_first:
        for chore in chores:
            chore.do()
