"""The settings that every quantization technique has, and where they apply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from sol.clock import Clock, is_between_edges
from sol.errors import ConfigError
from sol.schedule import Schedule
from sol.skills.quantization.placement import parse_placement
from sol.target import STRICT

BranchChoice = Literal["both", "cond", "uncond"]


@dataclass(frozen=True, kw_only=True)
class QuantizationSettings:
    """Which layers, in which calls, and what is done for quality.

    Attributes:
        layers: See `sol.skills.quantization.placement`.
        full_first: First steps that keep full precision.
        full_last: Last steps that keep full precision.
        branch: The guidance branch that is computed quantised, where each is a call of its own.
        smooth: SmoothQuant's alpha (arXiv 2211.10438, equation 4): how much of the spread of the
            activations' channels moves into the weights. 0 leaves both as they are.
        rank: Of the correction in full precision beside the quantised weights (SVDQuant, arXiv
            2411.05007, without its fused kernels); 0 for none.
    """

    __pydantic_config__ = STRICT

    layers: str = "all"
    full_first: Annotated[int, Field(ge=0)] = 0
    full_last: Annotated[int, Field(ge=0)] = 0
    branch: BranchChoice = "both"
    smooth: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    rank: Annotated[int, Field(ge=0)] = 0

    def __post_init__(self) -> None:
        parse_placement(self.layers)
        if self.smooth and self.branch == "uncond":
            raise ConfigError(
                "smooth needs the first call of a video, which is the conditional one: "
                "set branch to 'both' or 'cond', or smooth to 0."
            )

    @property
    def needs_switching(self) -> bool:
        """Whether some calls keep full precision, or show the activations first."""
        return bool(self.full_first or self.full_last or self.branch != "both" or self.smooth)

    def is_for(self, clock: Clock, schedule: Schedule) -> bool:
        """Whether the call that the clock stands at is to be quantised."""
        if not is_between_edges(clock, schedule, self.full_first, self.full_last):
            return False
        return self.branch == "both" or clock.branch == self.branch
