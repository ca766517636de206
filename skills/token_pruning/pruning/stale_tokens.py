"""Freezing the tokens whose clean picture has settled.

What AsyncPatch (arXiv 2606.07079) does in models trained for it: a token whose predicted clean
latents stay the same for some steps is done. With flow matching they are x0 = x_t - sigma v_t, v
being the denoiser's output. A token is frozen once |x0_t - x0_{t-1}|, relative to the size of all
of x0, was below `tau` for `patience` steps in a row. While it is frozen its x0 is what was
predicted for it: it is computed again in the refresh steps, and thaws if x0 is somewhere else.

The number of active tokens follows from this: it falls as a video settles. It is rounded up to an
eighth of all tokens, so that compiled code meets few shapes; what is free up to there goes to the
tokens that moved most.

(Relative to the token's own x0, measured on pocket-long with tau 0.1 and refresh 3: 56.7 dB where
31.8 % of the tokens were left out; relative to all of x0: 60.4 dB at 31.2 %.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from sol.clock import Clock
from sol.roles import Capability, LatentGrid, Roles
from sol.schedule import Schedule
from sol.skills.cache.memory import bytes_of
from sol.skills.token_pruning.pruning.pruning import install_pruning
from sol.skills.token_pruning.pruning.settings import PruningSettings
from sol.skills.token_pruning.pruning.space import early, pruning_knobs, saves
from sol.skills.token_pruning.reduction.reducer import DenoiserCall
from sol.skills.token_pruning.reduction.token_rows import Rows
from sol.skills.token_pruning.selection.output_tokens import lay_out, mean_by_token
from sol.skills.token_pruning.selection.selection import find_strongest
from sol.space import Float, Int, Space
from sol.target import STRICT
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique

_N_SIZES = 8
_LONGEST_PATIENCE = 3


@dataclass(frozen=True, kw_only=True)
class StaleTokensConfig(PruningSettings):
    """Settings.

    Attributes:
        tau: Relative change of a token's clean latents below which it counts as still; 0 freezes
            none.
        patience: Steps in a row that a token must be still.
    """

    __pydantic_config__ = STRICT

    tau: Annotated[float, Field(ge=0.0)] = 0.15
    patience: Annotated[int, Field(ge=1)] = 2


@dataclass
class Stillness:
    """Which tokens are still.

    Attributes:
        clean: x0 of the last step, (batch, channels, frames, height, width).
        moved: Its relative change by token, (samples, tokens).
        n_still: Steps in a row in which that was below tau, (samples, tokens).
    """

    config: StaleTokensConfig
    layout: LatentGrid | None
    clock: Clock
    clean: Tensor | None = None
    moved: Tensor | None = None
    n_still: Tensor | None = None

    @property
    def bytes_held(self) -> int:
        return bytes_of((self.clean, self.moved, self.n_still))

    def choose(self, call: DenoiserCall, hidden: Tensor) -> Rows | None:
        if self.moved is None or self.n_still is None:
            return None
        is_active = self.n_still < self.config.patience
        n_active = int(is_active.sum(1).max())
        # All active ones before all others, however much those moved.
        scores = torch.where(is_active, self.moved + self.moved.max() + 1, self.moved)
        return find_strongest(scores, _round_up(n_active, hidden.shape[1]))

    def observe(self, call: DenoiserCall, result: Tensor, rows: Rows | None) -> None:
        sigma = self.clock.sigma
        if sigma is None:
            return
        before, self.clean = self.clean, _predict_clean(call, result, sigma, self.layout)
        if before is None or before.shape != self.clean.shape:
            self.moved = self.n_still = None
            return
        self.moved = _relative_change(self.clean, before, call)
        n_still = torch.zeros_like(self.moved) if self.n_still is None else self.n_still
        counted = torch.where(self.moved < self.config.tau, n_still + 1, 0.0)
        if rows is not None:
            counted = n_still.scatter(1, rows, counted.gather(1, rows))
        self.n_still = counted

    def forget(self) -> None:
        self.clean = self.moved = self.n_still = None


def _predict_clean(
    call: DenoiserCall, result: Tensor, sigma: float, layout: LatentGrid | None
) -> Tensor:
    """x0 = x_t - sigma v_t."""
    v = lay_out(result, call, layout)
    # Some denoisers are given further channels behind the latents': a first frame, a mask.
    x = lay_out(call.latents, call, layout)[:, : v.shape[1]]
    return (x - sigma * v).detach()


def _relative_change(now: Tensor, before: Tensor, call: DenoiserCall) -> Tensor:
    """Root mean square of each token's change by that of all of `now`, (samples, tokens)."""
    moved = mean_by_token((now - before).square().mean(1), call)
    size = mean_by_token(now.square().mean(1), call).mean(1, keepdim=True)
    return (moved / size.clamp_min(torch.finfo(size.dtype).tiny)).sqrt()


def _round_up(n_active: int, n_tokens: int) -> int:
    """To a multiple of an eighth of all tokens, at least one."""
    eighth = -(-n_tokens // _N_SIZES)
    return max(1, -(-n_active // eighth)) * eighth


def install(
    roles: Roles, config: StaleTokensConfig, schedule: Schedule, clock: Clock
) -> Installed:
    """Reduces the active blocks of every denoiser."""
    return install_pruning(
        roles, "stale_tokens", config, schedule, clock, lambda d: Stillness(config, d.grid, clock)
    )


def space(context: SpaceContext) -> Space:
    """Changes from a fiftieth to a third; three that lost little where they were measured first.

    The warm-up matters little: before x0 comes to rest nothing is frozen.
    """
    knobs = pruning_knobs(context.workload)
    if not knobs:
        return Space()
    shared = {
        "patience": 2,
        "warmup": early(context.workload),
        "compensation": "linear",
        "context": "extrapolated",
    }
    return Space(
        knobs={
            "tau": Float(0.02, 0.35, log=True, bolder="up"),
            "patience": Int(1, _LONGEST_PATIENCE, bolder="down"),
            **knobs,
        },
        first=(
            {"tau": 0.15, "refresh": 2, **shared},
            {"tau": 0.15, "refresh": 3, **shared},
            {"tau": 0.2, "refresh": 4, **shared},
        ),
    )


STALE_TOKENS = Technique(
    name="stale_tokens",
    skill="token_pruning",
    summary="freeze the tokens whose clean picture has settled",
    exactness="lossy",
    requires=frozenset({Capability.TOKEN_SET, Capability.GRID_ATTENTION}),
    writes=frozenset({Seam.TOKEN_SET, Seam.ATTENTION_BACKEND}),
    phase=Phase.BLOCKS,
    config=StaleTokensConfig,
    install=install,
    space=space,
    protects={"warmup": "first", "tail": "last"},
    identity={"tau": 0.0},
    schedulable=frozenset({"steps", "layers"}),
    saves=saves,
    source="arXiv 2606.07079",
)
