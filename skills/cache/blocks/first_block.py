"""First-block and dual-block cache: the first blocks tell whether the others need computing.

The first `front` blocks are always computed. While what they add to the hidden states differs
little from what it was at the last computed step, the blocks behind them are skipped, and the last
`back` blocks are computed again on the prediction. ParaAttention's First Block Cache has front 1
and back 0; cache-dit's DBCache generalises it.
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
from sol.skills.cache.blocks.block_skip import Entry, install_block_skip
from sol.skills.cache.skipping.distance import relative_l1
from sol.skills.cache.skipping.skip_settings import SkipSettings, StepDecisions
from sol.skills.cache.skipping.skip_space import latest_warmup, skip_knobs
from sol.space import Float, Int, Space
from sol.target import STRICT
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique

_LARGEST_FRONT = 8


@dataclass(frozen=True, kw_only=True)
class FirstBlockConfig(SkipSettings):
    """Settings.

    Attributes:
        threshold: Relative L1 change of what the first blocks add, against the last computed
            step, below which the others are skipped; 0 skips none.
        front: First blocks that are always computed.
        back: Last blocks that are always computed.
        per_branch: Decide for each guidance branch by itself, or once a step for all.
    """

    __pydantic_config__ = STRICT

    threshold: Annotated[float, Field(ge=0.0, le=10.0)] = 0.08
    front: Annotated[int, Field(ge=1)] = 1
    back: Annotated[int, Field(ge=0)] = 0
    per_branch: bool = False


@dataclass
class _Criterion:
    """The skip policy of one denoiser."""

    config: FirstBlockConfig
    decisions: StepDecisions
    computed: dict[str, torch.Tensor] = field(default_factory=dict)
    current: dict[str, torch.Tensor] = field(default_factory=dict)

    def should_skip(self, branch: str, signal: torch.Tensor) -> bool:
        decided = self.decisions.find(branch)
        if decided is not None:
            return decided
        self.current[branch] = signal.detach()
        return self.decisions.decide(branch, lambda: self._wants_to_skip(branch))

    def observe(self, branch: str, x: torch.Tensor, y: torch.Tensor) -> None:
        if branch in self.current:
            self.computed[branch] = self.current[branch]

    def forget(self) -> None:
        self.computed.clear()
        self.current.clear()
        self.decisions.forget()

    def held(self) -> Iterable[torch.Tensor]:
        return (*self.computed.values(), *self.current.values())

    def _wants_to_skip(self, branch: str) -> bool:
        if branch not in self.computed:
            return False
        change = relative_l1(self.current[branch], self.computed[branch])
        return change < self.config.threshold


def install(roles: Roles, config: FirstBlockConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Puts the criterion behind the first blocks of every denoiser."""
    return install_block_skip(
        roles,
        clock,
        config,
        lambda: _Criterion(config, StepDecisions(config, schedule, clock, config.per_branch)),
        lambda _: _added_by_front,
        front=config.front,
        back=config.back,
    )


def _added_by_front(entry: Entry) -> torch.Tensor:
    return entry.hidden - entry.start


def space(context: SpaceContext) -> Space:
    """cache-dit's ranges, as far as the denoiser has so many blocks; none below two."""
    n_blocks = min(len(denoiser.blocks) for denoiser in context.roles.denoisers)
    front = min(_LARGEST_FRONT, n_blocks - 1)
    if front < 1:
        return Space()
    n_steps = context.workload.steps
    warmup = min(4, latest_warmup(n_steps))
    shared = {"warmup": warmup, "max_skips": 4, "back": 0, "reuse": "residual"}
    return Space(
        knobs={
            "threshold": Float(0.02, 0.8, log=True, bolder="up"),
            "front": Int(1, front, bolder="down"),
            "back": Int(0, max(0, (n_blocks - front) // 2), bolder="down"),
            **skip_knobs(n_steps),
        },
        first=(
            {"threshold": 0.12, "front": 1, **shared},
            {"threshold": 0.24, "front": 1, **shared},
        ),
    )


FIRST_BLOCK = Technique(
    name="first_block",
    skill="cache",
    summary="skip the later blocks while what the first ones add hardly changes",
    exactness="lossy",
    requires=frozenset({Capability.BLOCK_RESIDUAL}),
    reads=frozenset({Seam.TOKEN_SET}),
    writes=frozenset({Seam.STEP_OUTPUT, Seam.BLOCK_RESIDUAL}),
    phase=Phase.BLOCKS,
    config=FirstBlockConfig,
    install=install,
    space=space,
    protects={"warmup": "first", "tail": "last"},
    identity={"threshold": 0.0},
    schedulable=frozenset({"steps"}),
    saves=lambda diagnosis: diagnosis.beyond_first_block_s,
    source="cache-dit DBCache; ParaAttention First Block Cache",
)
