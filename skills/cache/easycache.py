"""EasyCache: skip denoiser calls while the estimated output change stays small.

Zhou et al., "Less is Enough: Training-Free Video Diffusion Acceleration via Runtime-Adaptive
Caching", arXiv 2507.02860. With x the input latents and v the output of a denoiser call, the
transformation rate between the last two computed calls is k = |v_i - v_{i-1}| / |x_i - x_{i-1}|
(mean absolute values). The relative output change of a call that was not computed is estimated
as k |x_t - x_{t-1}| / |v_i|; calls are skipped while the sum of it stays below the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import torch
from pydantic import Field

from sol.clock import Clock
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.cache.step_skip import install_step_skip
from sol.space import Float, Int, Space
from sol.target import STRICT
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique


@dataclass(frozen=True)
class EasyCacheConfig:
    """Settings.

    Attributes:
        threshold: Accumulated relative output change up to which calls are skipped; 0 skips none.
        warmup: First steps that are always computed.
        tail: Last steps that are always computed.
        max_skips: Longest run of skipped steps.
    """

    __pydantic_config__ = STRICT

    threshold: Annotated[float, Field(ge=0.0, le=10.0)] = 0.05
    warmup: Annotated[int, Field(ge=2)] = 3
    tail: Annotated[int, Field(ge=0)] = 1
    max_skips: Annotated[int, Field(ge=1)] = 4


@dataclass
class _Trace:
    """What the criterion remembers of one branch in one video."""

    computed_input: torch.Tensor | None = None
    computed_output: torch.Tensor | None = None
    last_input: torch.Tensor | None = None
    rate: float | None = None


@dataclass
class _Criterion:
    """The skip policy of one denoiser. Decides once a step, on the step's first branch: branches
    that disagree would have their difference amplified by guidance."""

    config: EasyCacheConfig
    schedule: Schedule
    clock: Clock
    traces: dict[str, _Trace] = field(default_factory=dict)
    error: float = 0.0
    run: int = 0
    decided_step: int = -1
    decision: bool = False

    def should_skip(self, branch: str, latents: torch.Tensor) -> bool:
        trace = self.traces.setdefault(branch, _Trace())
        if self.decided_step != self.clock.step:
            self.decided_step = self.clock.step
            self.decision = self._decide(trace, latents)
            self.run = self.run + 1 if self.decision else 0
        trace.last_input = latents.detach().clone()
        return self.decision

    def observe(self, branch: str, latents: torch.Tensor, output: torch.Tensor) -> None:
        trace = self.traces[branch]
        if trace.computed_input is not None and trace.computed_output is not None:
            moved = _mean_abs(latents - trace.computed_input)
            trace.rate = _mean_abs(output - trace.computed_output) / moved if moved > 0 else None
        trace.computed_input = latents.detach().clone()
        trace.computed_output = output.detach().clone()
        self.error = 0.0

    def forget(self) -> None:
        self.traces.clear()
        self.error, self.run, self.decided_step = 0.0, 0, -1

    def _decide(self, trace: _Trace, latents: torch.Tensor) -> bool:
        if not self._is_allowed() or trace.rate is None:
            return False
        if trace.last_input is None or trace.computed_output is None:
            return False
        scale = _mean_abs(trace.computed_output)
        if scale == 0:
            return False
        self.error += trace.rate * _mean_abs(latents - trace.last_input) / scale
        return self.error < self.config.threshold

    def _is_allowed(self) -> bool:
        step, n_steps = self.clock.step, self.clock.n_steps
        return (
            self.config.warmup <= step < n_steps - self.config.tail
            and self.run < self.config.max_skips
            and step in self.schedule.active_steps(n_steps)
        )


def install(roles: Roles, config: EasyCacheConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Puts the criterion in front of every denoiser."""
    return install_step_skip(
        roles, clock, "sol.easycache", lambda: _Criterion(config, schedule, clock)
    )


def space(context: SpaceContext) -> Space:
    """Thresholds around the paper's range; the latest warm-up follows the number of steps."""
    latest_warmup = max(2, context.workload.steps // 3)
    warmup = min(5, latest_warmup)
    return Space(
        knobs={
            "threshold": Float(0.01, 0.5, log=True, bolder="up"),
            "warmup": Int(2, latest_warmup, bolder="down"),
            "max_skips": Int(1, 6, bolder="up"),
        },
        first=(
            {"threshold": 0.05, "warmup": warmup, "max_skips": 4},
            {"threshold": 0.1, "warmup": warmup, "max_skips": 4},
            {"threshold": 0.025, "warmup": warmup, "max_skips": 4},
        ),
    )


def _mean_abs(tensor: torch.Tensor) -> float:
    return float(tensor.float().abs().mean())


EASYCACHE = Technique(
    name="easycache",
    skill="cache",
    summary="skip denoiser calls while the estimated change of the output stays small",
    exactness="lossy",
    requires=frozenset({Capability.STEP_OUTPUT}),
    writes=frozenset({Seam.STEP_OUTPUT}),
    phase=Phase.LOOP,
    config=EasyCacheConfig,
    install=install,
    space=space,
    identity={"threshold": 0.0},
    schedulable=frozenset({"steps"}),
    source="arXiv 2507.02860",
)
