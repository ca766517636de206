"""In which steps a library's cache may reuse anything."""

from __future__ import annotations

from dataclasses import dataclass

from sol.clock import Clock
from sol.schedule import Schedule


@dataclass
class StepGate:
    """Open in the scheduled steps, after the warm-up of this denoiser.

    Attributes:
        warmup: First steps of the denoiser that are always computed; a second expert, which
            takes over in the middle of a video, has a warm-up of its own.
        first_step: The step of the denoiser's first call in this video.
    """

    clock: Clock
    schedule: Schedule
    warmup: int = 0
    first_step: int | None = None

    @property
    def local_step(self) -> int:
        """Steps since the denoiser's first call in this video; that call is step 0."""
        if self.first_step is None:
            self.first_step = self.clock.step
        return self.clock.step - self.first_step

    def is_open(self) -> bool:
        """Whether the current step may reuse what an earlier one computed."""
        if self.local_step < self.warmup:
            return False
        return self.clock.step in self.schedule.active_steps(self.clock.n_steps)

    def forget(self) -> None:
        """A new video begins."""
        self.first_step = None
