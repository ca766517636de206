"""Attention to the blocks of keys that score highest, chosen while the video is made.

Means of blocks are scored; each block of queries keeps its best (PISA, arXiv 2602.01077) or those
that stand out (Sol-Attn, arXiv 2607.24027). The choice is kept for some steps (DFSAttn, arXiv
2605.23445): patterns of heads change slowly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from sol.clock import Clock
from sol.errors import ConfigError
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.sparse_attention.block_choice import Place
from sol.skills.sparse_attention.install import install_sparse
from sol.skills.sparse_attention.selection.ranking import keep_above, keep_best, n_kept
from sol.skills.sparse_attention.selection.topk import score_blocks
from sol.skills.sparse_attention.settings import SparseSettings
from sol.skills.sparse_attention.space import saves, topk_space
from sol.technique import Installed, Phase, Seam, Technique

Share = Annotated[float, Field(gt=0.0, le=1.0)]


@dataclass(frozen=True, kw_only=True)
class TopKBlocksConfig(SparseSettings):
    """Settings.

    Attributes:
        deviations: Keep what scores above mean + so many standard deviations instead of a share;
            `density` is not looked at then.
        final_density: Density at the last sparse step, to which it moves in equal steps; None
            keeps `density`.
        densities: One for each head of each block, 1 being dense; `density` is then their mean,
            for people.
        unit: Tokens whose mean is scored; divides `block`. None is the block.
        refresh: Steps for which a choice is kept.
    """

    deviations: float | None = None
    final_density: Share | None = None
    densities: tuple[tuple[Share, ...], ...] = ()
    unit: Annotated[int, Field(ge=1)] | None = None
    refresh: Annotated[int, Field(ge=1)] = 4

    def __post_init__(self) -> None:
        if self.unit is not None and self.block % self.unit:
            raise ConfigError(
                f"unit must divide block, but {self.block} is no multiple of {self.unit}: "
                "leave it out to score whole blocks."
            )


@dataclass(frozen=True)
class _TopK:
    config: TopKBlocksConfig

    @property
    def refresh(self) -> int:
        return self.config.refresh

    def choose(self, place: Place, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        config = self.config
        scores = score_blocks(query, key, config.block, config.unit)
        if config.deviations is not None:
            return keep_above(scores, config.deviations, place.forced)
        density = self._density(place, n_heads=query.shape[1])
        return keep_best(scores, n_kept(density, scores.shape[-1]), place.forced)

    def _density(self, place: Place, n_heads: int) -> Tensor:
        """() or (heads,)."""
        config = self.config
        now = torch.tensor(config.density)
        if config.densities:
            now = torch.tensor(_for_layer(config.densities, place.layer, n_heads))
        if config.final_density is None:
            return now
        return now + (config.final_density - now) * place.progress


def _for_layer(
    densities: tuple[tuple[float, ...], ...], layer: int, n_heads: int
) -> tuple[float, ...]:
    if layer < len(densities) and len(densities[layer]) == n_heads:
        return densities[layer]
    raise ConfigError(
        f"densities must have {n_heads} values for block {layer}, one for each head: they are of "
        "another model."
    )


def install(roles: Roles, config: TopKBlocksConfig, schedule: Schedule, clock: Clock) -> Installed:
    """See `install_sparse`."""
    return install_sparse(roles, "topk_blocks", config, _TopK(config), schedule, clock)


TOPK_BLOCKS = Technique(
    name="topk_blocks",
    skill="sparse_attention",
    summary="attention to the blocks that score highest, the others by their mean or not at all",
    exactness="lossy",
    requires=frozenset({Capability.GRID_ATTENTION}),
    reads=frozenset({Seam.TOKEN_SET}),
    writes=frozenset({Seam.ATTENTION_BACKEND, Seam.ATTENTION_PATTERN}),
    phase=Phase.MODULES,
    config=TopKBlocksConfig,
    install=install,
    space=topk_space,
    protects={"dense_first": "first"},
    identity={"density": 1.0},
    schedulable=frozenset({"steps", "layers"}),
    saves=saves,
    source="arXiv 2602.01077, arXiv 2605.23445, arXiv 2607.24027",
)
