"""Token merging: the blocks compute the mean of tokens that are alike.

Bolya et al., arXiv 2210.09461 ("Token Merging: Your ViT But Faster") and 2303.17604 (for
diffusion). In every cell of the latent grid one token is a destination; of the others those most
like a destination, by the cosine of their hidden states, are merged into it by their mean, and
what the blocks add to the mean is added to each of them. Nothing is remembered from other steps.

Matched once a step, before the active blocks, within chunks of frames; the papers match in every
block anew. A merged key counts once, however many tokens it stands for, as in the second paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from sol.clock import Clock, is_between_edges
from sol.diagnosis import Diagnosis
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.token_pruning.merging.matching import (
    Cell,
    Matching,
    count_sources,
    match_tokens,
)
from sol.skills.token_pruning.merging.merged import Merged, merge_pairs
from sol.skills.token_pruning.reduction.install import install_reduction
from sol.skills.token_pruning.reduction.reducer import DenoiserCall
from sol.space import Choice, Float, Int, Space
from sol.target import STRICT
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique

CellName = Literal["1x2x2", "2x2x2", "2x1x1"]

_CELLS: dict[CellName, Cell] = {"1x2x2": (1, 2, 2), "2x2x2": (2, 2, 2), "2x1x1": (2, 1, 1)}
_MOST_MERGED = 0.75


@dataclass(frozen=True, kw_only=True)
class ToMeConfig:
    """Settings.

    Attributes:
        ratio: Share of the grid's tokens that are merged into others; 0 merges none. There are no
            more to merge than 1/2 to 7/8, by the cell.
        cell: Frames, rows and columns with one destination.
        chunk: Frames that are matched with one another.
        warmup: First steps that compute all tokens.
        tail: Last steps that do.
    """

    __pydantic_config__ = STRICT

    ratio: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    cell: CellName = "1x2x2"
    chunk: Annotated[int, Field(ge=1)] = 2
    warmup: Annotated[int, Field(ge=0)] = 0
    tail: Annotated[int, Field(ge=0)] = 0


@dataclass
class _Merging:
    """The reducer of one denoiser.

    Attributes:
        step: That `matching` was made in, for all calls of it.
    """

    config: ToMeConfig
    schedule: Schedule
    clock: Clock
    step: int = -1
    matching: Matching | None = None
    n_refused: int = 0

    @property
    def bytes_held(self) -> int:
        """Its pairs are of one step."""
        return 0

    def choose(self, call: DenoiserCall, hidden: Tensor) -> Merged | None:
        config, is_in_video = self.config, self.clock.n_steps > 0
        is_between = is_between_edges(self.clock, self.schedule, config.warmup, config.tail)
        if not (is_in_video and is_between):
            return None
        if self.step != self.clock.step or self.matching is None:
            self.step, self.matching = self.clock.step, self._match(call, hidden)
        if self.matching is None:
            return None
        return merge_pairs(self.matching, call.grid, len(hidden))

    def wants(self, call: DenoiserCall) -> bool:
        return False

    def record(self, call: DenoiserCall, hidden: Tensor, output: Tensor) -> None:
        """What all tokens became is not needed."""

    def finish(self, call: DenoiserCall, result: Tensor) -> None:
        """What the denoiser returned does not matter."""

    def leave(self) -> None:
        """The unconditional call of the step is merged like the conditional one."""

    def forget(self) -> None:
        self.step, self.matching = -1, None

    def _match(self, call: DenoiserCall, hidden: Tensor) -> Matching | None:
        config, grid = self.config, call.grid
        cell, states = _CELLS[config.cell], call.of_grid(hidden)
        n_sources = count_sources(grid, cell, config.chunk)
        n_pairs = min(n_sources, round(config.ratio * states.shape[1]))
        if n_pairs == 0:
            return None
        return match_tokens(_side_by_side(states, call), grid, cell, config.chunk, n_pairs)


def _side_by_side(states: Tensor, call: DenoiserCall) -> Tensor:
    """(batch, tokens, width) -> (samples, tokens, branches * width).

    Their cosine is the mean of the cosines in each branch of guidance.
    """
    directions = F.normalize(states.float(), dim=-1)
    of_branches = directions.view(-1, call.n_samples, *states.shape[1:])
    return of_branches.movedim(0, -2).flatten(-2)


def install(roles: Roles, config: ToMeConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Reduces the active blocks of every denoiser."""
    return install_reduction(
        roles, "tome", schedule, clock, lambda *_: _Merging(config, schedule, clock)
    )


def space(context: SpaceContext) -> Space:
    """Ratios up to what a cell of four allows; ToMeSD's, published for 10 to 60 %, first.

    The last setting spares the last third, where on pocket-long merging cost most.
    """
    n_steps = context.workload.steps
    return Space(
        knobs={
            "ratio": Float(0.05, _MOST_MERGED, bolder="up"),
            "cell": Choice(("1x2x2", "2x2x2", "2x1x1")),
            "warmup": Int(0, n_steps // 2, bolder="down"),
            "tail": Int(0, n_steps // 2, bolder="down"),
        },
        first=(
            {"ratio": 0.1, "cell": "1x2x2", "warmup": 0, "tail": 0},
            {"ratio": 0.5, "cell": "1x2x2", "warmup": 0, "tail": 0},
            {"ratio": 0.1, "cell": "1x2x2", "warmup": 0, "tail": n_steps // 3},
        ),
    )


def saves(diagnosis: Diagnosis) -> float:
    """The denoiser's time for the tokens that are merged at most."""
    return diagnosis.denoise_s * _MOST_MERGED


TOME = Technique(
    name="tome",
    skill="token_pruning",
    summary="merge tokens that are alike before the blocks, and part them again behind",
    exactness="lossy",
    requires=frozenset({Capability.TOKEN_SET}),
    writes=frozenset({Seam.TOKEN_SET}),
    phase=Phase.BLOCKS,
    config=ToMeConfig,
    install=install,
    space=space,
    protects={"warmup": "first", "tail": "last"},
    identity={"ratio": 0.0},
    schedulable=frozenset({"steps", "layers"}),
    saves=saves,
    source="arXiv 2210.09461, 2303.17604",
)
