"""Region-adaptive sampling: the blocks compute the regions that the model works on.

Liu et al., "Region-Adaptive Sampling for Diffusion Transformers", arXiv 2502.10389. A token is
scored by the spread of the last output in its patch, times exp(starvation * n) once it was left
out n times in a row; in sparse steps the highest are computed, and the others keep what they had,
in attention too. Dense steps in between set the errors back. Published with 25 to 75 % computed
from the fourth step on. (The authors' code can leave out a share of the highest scores as well: on
pocket-long 30 % of them cost 3.9 dB.)

What is kept of a token is what the blocks added to it, not the output: the final layer follows the
timestep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from sol.clock import Clock
from sol.roles import Capability, LatentGrid, Roles
from sol.schedule import Schedule
from sol.skills.cache.memory import bytes_of
from sol.skills.token_pruning.pruning.pruning import install_pruning
from sol.skills.token_pruning.pruning.settings import Compensation, Context, PruningSettings
from sol.skills.token_pruning.pruning.space import LEAST_KEPT, early, pruning_knobs, saves
from sol.skills.token_pruning.reduction.reducer import DenoiserCall
from sol.skills.token_pruning.reduction.token_rows import Rows
from sol.skills.token_pruning.selection.output_tokens import lay_out, mean_by_token
from sol.skills.token_pruning.selection.selection import count_kept, find_strongest
from sol.space import Choice, Float, Space
from sol.target import STRICT
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique

Metric = Literal["std", "l2"]

_SPREADS: Mapping[Metric, Callable[[Tensor], Tensor]] = {
    "std": lambda output: output.std(1),
    "l2": lambda output: output.norm(dim=1),
}


@dataclass(frozen=True, kw_only=True)
class RASConfig(PruningSettings):
    """Settings.

    Attributes:
        sample_ratio: Share of the tokens that a sparse step computes; 1 leaves none out.
        metric: Of the output's channels: their standard deviation or their norm.
        starvation: How much each time that a token was left out adds to its score.
    """

    __pydantic_config__ = STRICT

    sample_ratio: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    metric: Metric = "std"
    starvation: Annotated[float, Field(ge=0.0)] = 1.0
    compensation: Compensation = "previous"
    context: Context = "remembered"


@dataclass
class Regions:
    """Chooses by the spread of the last output.

    Attributes:
        spread: By token, (samples, tokens).
        n_left_out: How many times in a row each token was left out.
    """

    config: RASConfig
    layout: LatentGrid | None
    spread: Tensor | None = None
    n_left_out: Tensor | None = None

    @property
    def bytes_held(self) -> int:
        return bytes_of((self.spread, self.n_left_out))

    def choose(self, call: DenoiserCall, hidden: Tensor) -> Rows | None:
        if self.spread is None or self.n_left_out is None:
            return None
        scores = self.spread * torch.exp(self.config.starvation * self.n_left_out)
        return find_strongest(scores, count_kept(self.config.sample_ratio, hidden.shape[1]))

    def observe(self, call: DenoiserCall, result: Tensor, rows: Rows | None) -> None:
        output = lay_out(result, call, self.layout)
        self.spread = mean_by_token(_SPREADS[self.config.metric](output), call)
        if rows is None or self.n_left_out is None:
            self.n_left_out = torch.zeros_like(self.spread)
        else:
            self.n_left_out = (self.n_left_out + 1).scatter(1, rows, 0.0)

    def forget(self) -> None:
        self.spread = self.n_left_out = None


def install(roles: Roles, config: RASConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Reduces the active blocks of every denoiser."""
    return install_pruning(
        roles, "ras", config, schedule, clock, lambda d: Regions(config, d.grid)
    )


def space(context: SpaceContext) -> Space:
    """The published ratios, and first what is published: half of the tokens, then a quarter.

    Then the same with all that is predicted extrapolated, which the authors do not do.
    """
    knobs = pruning_knobs(context.workload)
    if not knobs:
        return Space()
    shared = {"metric": "std", "starvation": 1.0, "warmup": early(context.workload), "refresh": 4}
    published = {"compensation": "previous", "context": "remembered", **shared}
    extrapolated = {"compensation": "linear", "context": "extrapolated", **shared}
    return Space(
        knobs={
            "sample_ratio": Float(LEAST_KEPT, 0.75, bolder="down"),
            "metric": Choice(("std", "l2")),
            "starvation": Float(0.0, 1.0),
            **knobs,
        },
        first=(
            {"sample_ratio": 0.5, **published},
            {"sample_ratio": 0.25, **published},
            {"sample_ratio": 0.5, **extrapolated, "refresh": 2},
        ),
    )


RAS = Technique(
    name="ras",
    skill="token_pruning",
    summary="compute the regions that the model works on, by the spread of its last output",
    exactness="lossy",
    requires=frozenset({Capability.TOKEN_SET, Capability.GRID_ATTENTION}),
    writes=frozenset({Seam.TOKEN_SET, Seam.ATTENTION_BACKEND}),
    phase=Phase.BLOCKS,
    config=RASConfig,
    install=install,
    space=space,
    protects={"warmup": "first", "tail": "last"},
    identity={"sample_ratio": 1.0},
    schedulable=frozenset({"steps", "layers"}),
    saves=saves,
    source="arXiv 2502.10389",
)
