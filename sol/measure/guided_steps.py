"""What a pipeline gives to its scheduler in each step of a video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from sol.scheduler_step import before_step


@dataclass(frozen=True)
class GuidedStep:
    """One step.

    Attributes:
        sample: The latents before it.
        output: The guided prediction.
        timestep: The scheduler's own.
    """

    sample: torch.Tensor
    output: torch.Tensor
    timestep: float


def record_steps(run: Callable[[], object], scheduler: Any) -> tuple[GuidedStep, ...]:
    """Every step of one video.

    Args:
        run: Makes the video with the pipeline of `scheduler`.
    """
    steps: list[GuidedStep] = []
    undo = watch_steps(scheduler, steps.append)
    try:
        run()
    finally:
        undo()
    return tuple(steps)


def watch_steps(scheduler: Any, note: Callable[[GuidedStep], None]) -> Callable[[], None]:
    """Shows `note` every step until the returned function is called."""

    def read(output: torch.Tensor, timestep: Any, sample: torch.Tensor) -> None:
        note(GuidedStep(sample.detach().clone(), output.detach().clone(), float(timestep)))

    return before_step(scheduler, read)
