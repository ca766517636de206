"""The estimate of the unconditional output from the conditional one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from sol.call_form import CallForm, change_first
from sol.clock import Clock
from sol.roles import LatentGrid
from sol.schedule import Schedule
from sol.skills.cache.guidance.frequency_bands import weight_bands
from sol.target import STRICT

Mode = Literal["difference", "spectral"]


@dataclass(frozen=True)
class CFGReuseConfig:
    """Settings.

    Attributes:
        every: The unconditional branch is computed once in so many steps; 1 computes it always.
        mode: How it is estimated in between.
        warmup: First steps in which both branches are always computed.
        tail: Last steps in which they are.
        low_gain: Of the low frequencies of d in the first half of a run (spectral only).
        high_gain: Of the high frequencies of d in the second half (spectral only).
    """

    __pydantic_config__ = STRICT

    every: Annotated[int, Field(ge=1)] = 5
    mode: Mode = "spectral"
    warmup: Annotated[int, Field(ge=1)] = 4
    tail: Annotated[int, Field(ge=0)] = 1
    low_gain: Annotated[float, Field(ge=0.0, le=10.0)] = 1.1
    high_gain: Annotated[float, Field(ge=0.0, le=10.0)] = 1.1


@dataclass
class GuidanceEstimate:
    """Difference of the two branches of one denoiser, and the step that computed both.

    Attributes:
        grid: How the video of an output is laid out; nothing else of an output has frequencies.
        form: How the outputs are read, and so their difference.
    """

    config: CFGReuseConfig
    schedule: Schedule
    clock: Clock
    grid: LatentGrid | None
    form: CallForm
    difference: torch.Tensor | None = None
    full_step: int = -1

    @property
    def is_due(self) -> bool:
        """Whether this step's unconditional branch is to be estimated."""
        step, n_steps = self.clock.step, self.clock.n_steps
        return (
            self.difference is not None
            and step - self.full_step < self.config.every
            and self.config.warmup <= step < n_steps - self.config.tail
            and step in self.schedule.active_steps(n_steps)
        )

    def observe(self, uncond: torch.Tensor, cond: torch.Tensor) -> None:
        self.difference = (uncond - cond).detach()
        self.full_step = self.clock.step

    def forget(self) -> None:
        self.difference, self.full_step = None, -1

    def of(
        self, cond: torch.Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> torch.Tensor:
        """The unconditional output of the call in which `cond` was computed."""
        assert self.difference is not None
        if self.config.mode == "difference":
            return cond + self.difference
        is_early = 2 * self.clock.step < self.clock.n_steps
        low_gain = self.config.low_gain if is_early else 1.0
        high_gain = 1.0 if is_early else self.config.high_gain

        def weight(video: torch.Tensor) -> torch.Tensor:
            if self.grid is None:
                return weight_bands(video, low_gain, high_gain)
            grid = self.grid.to_grid(video, args, kwargs)
            return self.grid.from_grid(weight_bands(grid, low_gain, high_gain))

        return cond + change_first(self.form, self.difference, args, kwargs, weight)
