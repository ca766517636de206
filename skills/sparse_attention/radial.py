"""Radial attention: the further away in time, the smaller the window in space.

Li et al., arXiv 2506.19852. Which blocks those are is known from the grid alone.
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
from sol.skills.sparse_attention.selection.distance import score_radial
from sol.skills.sparse_attention.settings import SparseSettings
from sol.skills.sparse_attention.space import saves, sparse_space
from sol.space import Float, Space
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique


@dataclass(frozen=True, kw_only=True)
class RadialConfig(SparseSettings):
    """Settings.

    Attributes:
        decay: 1 halves the window for each doubling of the distance in frames, 0 never does.
    """

    sink: bool = True
    decay: Annotated[float, Field(ge=0.0)] = 1.0


def install(roles: Roles, config: RadialConfig, schedule: Schedule, clock: Clock) -> Installed:
    """See `install_sparse`."""

    def score(place: Place) -> Tensor:
        return score_radial(place.sequence.centres, place.sequence.grid.frames, config.decay)

    pattern = FixedPattern(score, config.density)
    return install_sparse(roles, "radial", config, pattern, schedule, clock)


def space(context: SpaceContext) -> Space:
    """What every sparse attention has, and the decay around the published ones."""
    return sparse_space(context, {"decay": Float(0.1, 1.5)}, decay=1.0)


RADIAL = Technique(
    name="radial",
    skill="sparse_attention",
    summary="attention within a window that shrinks with the distance in time",
    exactness="lossy",
    requires=frozenset({Capability.GRID_ATTENTION}),
    reads=frozenset({Seam.TOKEN_SET}),
    writes=frozenset({Seam.ATTENTION_BACKEND, Seam.ATTENTION_PATTERN}),
    phase=Phase.MODULES,
    config=RadialConfig,
    install=install,
    space=space,
    protects={"dense_first": "first"},
    identity={"density": 1.0},
    schedulable=frozenset({"steps", "layers"}),
    saves=saves,
    source="arXiv 2506.19852",
)
