"""MagCache: skip the blocks while the magnitude of their residual is known to hardly change.

Ma et al., "MagCache: Fast Video Generation with Magnitude-Aware Cache", arXiv 2506.09045. With
gamma_t the mean ratio of the residual's norm at step t to that at the step before, calibrated
once for each guidance branch, a run of skips up to step t has the error
sum_s |1 - prod_{q<=s} gamma_q|; the blocks are skipped while it stays below the threshold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import torch
from pydantic import Field

from sol.clock import Clock
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.cache.blocks.block_skip import Entry, install_block_skip
from sol.skills.cache.skipping.skip_settings import SkipSettings, StepDecisions
from sol.skills.cache.skipping.skip_space import latest_warmup, skip_knobs
from sol.space import Float, Space
from sol.target import STRICT
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique

Ratios = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class MagCacheConfig(SkipSettings):
    """Settings.

    Attributes:
        threshold: Accumulated magnitude error up to which the blocks are skipped; 0 skips none.
        ratios: gamma_t by guidance branch ("both", "cond", "uncond"), one for each step of the
            calibrated video; other step counts take the nearest. A branch without ratios is
            always computed.
        per_branch: Decide for each guidance branch by itself, as published, or once a step.
    """

    __pydantic_config__ = STRICT

    threshold: Annotated[float, Field(ge=0.0, le=10.0)] = 0.06
    ratios: Ratios = field(default_factory=dict)
    per_branch: bool = False


@dataclass
class _Error:
    """Of the run of skips that a branch is in."""

    ratio: float = 1.0
    error: float = 0.0


@dataclass
class _Criterion:
    """The skip policy of one denoiser."""

    config: MagCacheConfig
    decisions: StepDecisions
    clock: Clock
    errors: dict[str, _Error] = field(default_factory=dict)

    def should_skip(self, branch: str, signal: torch.Tensor) -> bool:
        return self.decisions.decide(branch, lambda: self._wants_to_skip(branch))

    def observe(self, branch: str, x: torch.Tensor, y: torch.Tensor) -> None:
        self.errors[branch] = _Error()

    def forget(self) -> None:
        self.errors.clear()
        self.decisions.forget()

    def held(self) -> Iterable[torch.Tensor]:
        return ()

    def _wants_to_skip(self, branch: str) -> bool:
        ratios = self.config.ratios.get(branch, ())
        if not ratios:
            return False
        run = self.errors.setdefault(branch, _Error())
        run.ratio *= nearest_ratio(ratios, self.clock.step, self.clock.n_steps)
        run.error += abs(1.0 - run.ratio)
        return run.error < self.config.threshold


def nearest_ratio(ratios: Sequence[float], step: int, n_steps: int) -> float:
    """The ratio of the calibrated step that lies at the same share of the video."""
    if n_steps <= 1:
        return ratios[0]
    return ratios[round(step * (len(ratios) - 1) / (n_steps - 1))]


def install(roles: Roles, config: MagCacheConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Puts the criterion in front of the blocks of every denoiser."""

    def criterion() -> _Criterion:
        return _Criterion(config, StepDecisions(config, schedule, clock, config.per_branch), clock)

    return install_block_skip(roles, clock, config, criterion, lambda _: _hidden)


def _hidden(entry: Entry) -> torch.Tensor:
    """The policy watches no tensor: its ratios are known beforehand."""
    return entry.hidden


def space(context: SpaceContext) -> Space:
    """Thresholds around the published ones, with ratios from the diagnosis; none without it."""
    redundancy = context.diagnosis.redundancy
    if redundancy is None or not redundancy.magnitude_ratio:
        return Space()
    n_steps = context.workload.steps
    # Published: a fifth of the steps are kept.
    warmup = min(max(2, n_steps // 5), latest_warmup(n_steps))
    branch = "both" if context.roles.guidance != "two_call" else "cond"
    ratios = {
        name: [float(f"{value:.5g}") for value in values]
        for name, values in redundancy.magnitude_ratio.items()
    }
    assert branch in ratios, f"ratios of {sorted(ratios)}, guidance {context.roles.guidance}"
    return Space(
        knobs={
            "threshold": Float(0.005, 1.0, log=True, bolder="up"),
            **skip_knobs(n_steps),
        },
        first=tuple(
            {"threshold": threshold, "warmup": warmup, "max_skips": skips, "reuse": "residual"}
            for threshold, skips in ((0.06, 3), (0.12, 4))
        ),
        fixed={"ratios": ratios},
    )


MAGCACHE = Technique(
    name="magcache",
    skill="cache",
    summary="skip the blocks while the magnitude of their residual hardly changes",
    exactness="lossy",
    requires=frozenset({Capability.BLOCK_RESIDUAL}),
    reads=frozenset({Seam.TOKEN_SET}),
    writes=frozenset({Seam.STEP_OUTPUT, Seam.BLOCK_RESIDUAL}),
    phase=Phase.BLOCKS,
    config=MagCacheConfig,
    install=install,
    space=space,
    protects={"warmup": "first", "tail": "last"},
    identity={"threshold": 0.0},
    schedulable=frozenset({"steps"}),
    saves=lambda diagnosis: diagnosis.denoise_s,
    source="arXiv 2506.09045",
)
