"""For each head either its own frame and those around it, or its own place in all frames.

Sparse VideoGen, arXiv 2502.01776: heads are spatial or temporal, and a few sampled queries tell
which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from sol.clock import Clock
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.sparse_attention.block_choice import Place
from sol.skills.sparse_attention.install import install_sparse
from sol.skills.sparse_attention.selection.distance import score_frames, score_places
from sol.skills.sparse_attention.selection.ranking import keep_best, n_kept
from sol.skills.sparse_attention.selection.spatial_temporal import choose_by_error
from sol.skills.sparse_attention.settings import SparseSettings
from sol.skills.sparse_attention.space import refresh_knob, saves, sparse_space
from sol.space import Space
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique


@dataclass(frozen=True, kw_only=True)
class SpatialTemporalConfig(SparseSettings):
    """Settings.

    Attributes:
        rows: Queries on which a head's two patterns are compared.
        refresh: Steps for which a head keeps its pattern.
    """

    rows: Annotated[int, Field(ge=1)] = 32
    refresh: Annotated[int, Field(ge=1)] = 4


@dataclass(frozen=True)
class _SpatialTemporal:
    config: SpatialTemporalConfig

    @property
    def refresh(self) -> int:
        return self.config.refresh

    def choose(self, place: Place, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        centres = place.sequence.centres
        n_keep = n_kept(self.config.density, len(centres))
        patterns = torch.stack(
            [
                keep_best(score(centres), n_keep, place.forced)
                for score in (score_frames, score_places)
            ]
        )
        return choose_by_error(query, key, value, patterns, place.sequence.block, self.config.rows)


def install(
    roles: Roles, config: SpatialTemporalConfig, schedule: Schedule, clock: Clock
) -> Installed:
    """See `install_sparse`."""
    pattern = _SpatialTemporal(config)
    return install_sparse(roles, "spatial_temporal", config, pattern, schedule, clock)


def space(context: SpaceContext) -> Space:
    """What every sparse attention has, and for how long a head keeps its pattern."""
    return sparse_space(
        context, {"refresh": refresh_knob(context)}, refresh=refresh_knob(context).high
    )


SPATIAL_TEMPORAL = Technique(
    name="spatial_temporal",
    skill="sparse_attention",
    summary="each head attends to its frames or to its place, whichever fits it better",
    exactness="lossy",
    requires=frozenset({Capability.GRID_ATTENTION}),
    reads=frozenset({Seam.TOKEN_SET}),
    writes=frozenset({Seam.ATTENTION_BACKEND, Seam.ATTENTION_PATTERN}),
    phase=Phase.MODULES,
    config=SpatialTemporalConfig,
    install=install,
    space=space,
    protects={"dense_first": "first"},
    identity={"density": 1.0},
    schedulable=frozenset({"steps", "layers"}),
    saves=saves,
    source="arXiv 2502.01776",
)
