"""HiLo-Token: of what is given, the blocks see the detail, and the rest on a coarser grid.

arXiv 2606.13898, for videos of which a part is given: a first frame, all but a masked region. The
blocks compute all tokens that are generated and those near them, the given ones with much detail
by their Sobel magnitude, and of the rest the mean of each cell. Nothing is scored by attention:
in early steps there is nothing yet that could attend.

The published thresholds are not public; those here are ours, within the ranges of the abstract:
percentiles of 50 to 90, low frequencies 8 to 32 times coarser in pixels, 8 to 64 pixels around
what is generated. Published is a speed-up of the denoiser of 3.1 at a mask of 6 %, 1.7 at 35 %.
Where one of n latent frames is given, 1/n of the tokens is all that can be merged.

Sobel magnitudes are those of the latents, which are clean where they are given. LTX's pipeline
drops the denoiser's output there: what a merged token becomes is context for the others, no more.
(Measured with the pocket model's weights, which were not trained to go on from an image: 64x64, 17
frames, 24 steps, one image, 3 seeds, mean PSNR. Percentile 50 with stride 2 leaves out 7 % of the
tokens at 25.1 dB, 90 with 2 13 % at 21.9 dB, 90 with 4 17 % at 18.8 dB.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from torch import Tensor

from sol.clock import Clock, is_between_edges
from sol.roles import Capability, DenoiserRoles, Roles
from sol.schedule import Schedule
from sol.skills.token_pruning.hilo.flat_tokens import find_far, find_flat, sobel_magnitude
from sol.skills.token_pruning.hilo.merged_cells import MergedCells, merge_cells
from sol.skills.token_pruning.reduction.install import install_reduction
from sol.skills.token_pruning.reduction.reducer import DenoiserCall
from sol.skills.token_pruning.selection.output_tokens import lay_out, mean_by_token
from sol.space import Float, Int, Space
from sol.target import STRICT
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique


@dataclass(frozen=True, kw_only=True)
class HiLoConfig:
    """Settings.

    Attributes:
        dilate: Tokens around what is generated, in its frame, that are kept too.
        percentile: Of the Sobel magnitudes of the other given tokens: up to it they are merged;
            0 merges none.
        stride: Side of the cells of which one token is made; 1 merges none.
    """

    __pydantic_config__ = STRICT

    dilate: Annotated[int, Field(ge=0)] = 1
    percentile: Annotated[float, Field(ge=0.0, le=100.0)] = 70.0
    stride: Annotated[int, Field(ge=1)] = 2


@dataclass(frozen=True)
class GivenTokens:
    """The reducer of one denoiser. What it decides follows from the call alone."""

    config: HiLoConfig
    schedule: Schedule
    clock: Clock
    denoiser: DenoiserRoles
    bytes_held: int = 0
    n_refused: int = 0

    def choose(self, call: DenoiserCall, hidden: Tensor) -> MergedCells | None:
        if not is_between_edges(self.clock, self.schedule, first=0, last=0):
            return None
        is_merged = self._find_merged(call)
        if not is_merged.any():
            return None
        cells = merge_cells(is_merged, self.config.stride, call.grid)
        return cells if cells.n_kept < call.grid.n_tokens else None

    def wants(self, call: DenoiserCall) -> bool:
        return False

    def record(self, call: DenoiserCall, hidden: Tensor, output: Tensor) -> None:
        """It wants none."""

    def finish(self, call: DenoiserCall, result: Tensor) -> None:
        """What was computed does not matter."""

    def leave(self) -> None:
        """Nothing is left of a call."""

    def forget(self) -> None:
        """It remembers nothing."""

    def _find_merged(self, call: DenoiserCall) -> Tensor:
        """The tokens of the grid to merge, (frames, height, width)."""
        assert self.denoiser.given_tokens is not None, "the capability is there"
        is_given = self.denoiser.given_tokens(call.args, call.kwargs).all(0)
        is_far = find_far(is_given.view(call.grid.sizes), self.config.dilate)
        latents = lay_out(call.latents, call, self.denoiser.grid)
        magnitude = mean_by_token(sobel_magnitude(latents), call)
        return find_flat(magnitude, is_far.flatten(), self.config.percentile).view_as(is_far)


def install(roles: Roles, config: HiLoConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Merges tokens around the active blocks of every denoiser."""

    def make_reducer(
        denoiser: DenoiserRoles, active: range, undos: list[Callable[[], None]]
    ) -> GivenTokens:
        return GivenTokens(config, schedule, clock, denoiser)

    return install_reduction(roles, "hilo", schedule, clock, make_reducer)


def space(context: SpaceContext) -> Space:
    """Percentiles as published; 2 to 4 tokens are 8 to 32 times coarser in most families."""
    return Space(
        knobs={
            "percentile": Float(50.0, 90.0, bolder="up"),
            "stride": Int(2, 4, bolder="up"),
        },
        first=({"percentile": 70.0, "stride": 2}, {"percentile": 90.0, "stride": 4}),
    )


HILO = Technique(
    name="hilo",
    skill="token_pruning",
    summary="where a part of the video is given, compute it coarsely but for its detail (HiLo)",
    exactness="lossy",
    requires=frozenset({Capability.TOKEN_SET, Capability.GIVEN_TOKENS}),
    writes=frozenset({Seam.TOKEN_SET}),
    phase=Phase.BLOCKS,
    config=HiLoConfig,
    install=install,
    space=space,
    identity={"percentile": 0.0},
    schedulable=frozenset({"steps", "layers"}),
    source="arXiv 2606.13898",
)
