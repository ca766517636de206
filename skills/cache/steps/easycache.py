"""EasyCache: skip denoiser calls while the estimated output change stays small.

Zhou et al., "Less is Enough: Training-Free Video Diffusion Acceleration via Runtime-Adaptive
Caching", arXiv 2507.02860. With x the input latents and v the output of a denoiser call, the
transformation rate between the last two computed calls is k = |v_i - v_{i-1}| / |x_i - x_{i-1}|
(mean absolute values). The relative output change of a call that was not computed is estimated
as k |x_t - x_{t-1}| / |v_i|; calls are skipped while the sum of it stays below the threshold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated

import torch
from pydantic import Field

from sol.clock import Clock
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.cache.planning.ridge import fit_stages
from sol.skills.cache.planning.trajectory import Trajectory
from sol.skills.cache.skipping.distance import mean_abs
from sol.skills.cache.skipping.reuse import ReuseKind
from sol.skills.cache.skipping.skip_settings import SkipSettings, StepDecisions
from sol.skills.cache.skipping.skip_space import latest_warmup, skip_knobs
from sol.skills.cache.steps.step_skip import install_step_skip
from sol.space import Float, Space
from sol.target import STRICT
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique

_STAGES = 3
"""Of a video, each with a weight of its own: LESA's number of experts (arXiv 2602.20497)."""


@dataclass(frozen=True, kw_only=True)
class EasyCacheConfig(SkipSettings):
    """Settings.

    Attributes:
        threshold: Accumulated relative output change up to which calls are skipped; 0 skips none.
        warmup: At least 2: a rate needs two computed calls.
    """

    __pydantic_config__ = STRICT

    threshold: Annotated[float, Field(ge=0.0, le=10.0)] = 0.05
    warmup: Annotated[int, Field(ge=2)] = 3


@dataclass
class _Trace:
    """What the criterion remembers of one branch in one video."""

    computed_input: torch.Tensor | None = None
    computed_output: torch.Tensor | None = None
    last_input: torch.Tensor | None = None
    rate: float | None = None


@dataclass
class _Criterion:
    """The skip policy of one denoiser."""

    config: EasyCacheConfig
    decisions: StepDecisions
    traces: dict[str, _Trace] = field(default_factory=dict)
    error: float = 0.0

    def should_skip(self, branch: str, signal: torch.Tensor) -> bool:
        decided = self.decisions.find(branch)
        if decided is not None:
            return decided
        trace = self.traces.setdefault(branch, _Trace())
        skips = self.decisions.decide(branch, lambda: self._wants_to_skip(trace, signal))
        trace.last_input = signal.detach().clone()
        return skips

    def observe(self, branch: str, x: torch.Tensor, y: torch.Tensor) -> None:
        self.error = 0.0
        trace = self.traces.get(branch)
        if trace is None:
            return
        if trace.computed_input is not None and trace.computed_output is not None:
            moved = mean_abs(x - trace.computed_input)
            trace.rate = mean_abs(y - trace.computed_output) / moved if moved > 0 else None
        trace.computed_input = x.detach().clone()
        trace.computed_output = y.detach().clone()

    def forget(self) -> None:
        self.traces.clear()
        self.decisions.forget()
        self.error = 0.0

    def held(self) -> Iterable[torch.Tensor]:
        for trace in self.traces.values():
            tensors = (trace.computed_input, trace.computed_output, trace.last_input)
            yield from (tensor for tensor in tensors if tensor is not None)

    def _wants_to_skip(self, trace: _Trace, latents: torch.Tensor) -> bool:
        if trace.rate is None or trace.last_input is None or trace.computed_output is None:
            return False
        scale = mean_abs(trace.computed_output)
        if scale == 0:
            return False
        self.error += trace.rate * mean_abs(latents - trace.last_input) / scale
        return self.error < self.config.threshold


def install(roles: Roles, config: EasyCacheConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Puts the criterion in front of every denoiser."""
    return install_step_skip(
        roles,
        clock,
        "sol.easycache",
        config,
        lambda: _Criterion(config, StepDecisions(config, schedule, clock)),
    )


def space(context: SpaceContext) -> Space:
    """Thresholds around the paper's range; the latest warm-up follows the number of steps."""
    n_steps = context.workload.steps
    shared = {"warmup": min(5, latest_warmup(n_steps)), "max_skips": 4}
    redundancy = context.diagnosis.redundancy
    table = fit_stages(Trajectory(redundancy), _STAGES) if redundancy is not None else ()
    first_order: tuple[ReuseKind, ...] = ("residual", "taylor1")
    kinds: tuple[ReuseKind, ...] = (*first_order, "ridge") if table else first_order
    return Space(
        knobs={
            "threshold": Float(0.01, 1.0, log=True, bolder="up"),
            **skip_knobs(n_steps, least_warmup=2, kinds=kinds),
        },
        first=(
            {"threshold": 0.05, "reuse": "residual", **shared},
            {"threshold": 0.1, "reuse": "residual", **shared},
            {"threshold": 0.2, "reuse": "taylor1", **shared},
        ),
        fixed={"ridge": list(table)},
    )


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
    protects={"warmup": "first", "tail": "last"},
    identity={"threshold": 0.0},
    schedulable=frozenset({"steps"}),
    source="arXiv 2507.02860",
)
