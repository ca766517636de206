"""Sliding tiles: each block of queries attends to the blocks around it in space and time.

Sliding Tile Attention, arXiv 2502.04507. Which blocks those are is known from the grid alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from torch import Tensor

from sol.clock import Clock
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.sparse_attention.block_choice import Place
from sol.skills.sparse_attention.fixed_pattern import FixedPattern
from sol.skills.sparse_attention.install import install_sparse
from sol.skills.sparse_attention.selection.distance import score_window
from sol.skills.sparse_attention.settings import SparseSettings
from sol.skills.sparse_attention.space import saves, sparse_space
from sol.space import Choice, Space
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique


@dataclass(frozen=True, kw_only=True)
class Window3DConfig(SparseSettings):
    """Settings.

    Attributes:
        stretch: How far the window reaches in time for what it reaches in space, both as shares
            of the grid's sides.
    """

    stretch: Annotated[float, Field(gt=0.0)] = 1.0


def install(roles: Roles, config: Window3DConfig, schedule: Schedule, clock: Clock) -> Installed:
    """See `install_sparse`."""

    def score(place: Place) -> Tensor:
        return score_window(place.sequence.centres, config.stretch)

    pattern = FixedPattern(score, config.density)
    return install_sparse(roles, "window3d", config, pattern, schedule, clock)


def space(context: SpaceContext) -> Space:
    """What every sparse attention has, and the form of the window."""
    return sparse_space(context, {"stretch": Choice((1.0, 2.0, 0.5))}, stretch=1.0)


WINDOW3D = Technique(
    name="window3d",
    skill="sparse_attention",
    summary="attention within a sliding window of space and time",
    exactness="lossy",
    requires=frozenset({Capability.GRID_ATTENTION}),
    reads=frozenset({Seam.TOKEN_SET}),
    writes=frozenset({Seam.ATTENTION_BACKEND, Seam.ATTENTION_PATTERN}),
    phase=Phase.MODULES,
    config=Window3DConfig,
    install=install,
    space=space,
    protects={"dense_first": "first"},
    identity={"density": 1.0},
    schedulable=frozenset({"steps", "layers"}),
    saves=saves,
    source="arXiv 2502.04507",
)
