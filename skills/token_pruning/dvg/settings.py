"""The settings of `dvg`: which steps run on which grid."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

from pydantic import Field

from sol.errors import ConfigError
from sol.target import STRICT

Scale = Annotated[float, Field(gt=0.0, le=1.0)]


@dataclass(frozen=True)
class Stage:
    """Consecutive steps on one grid.

    Attributes:
        until_step: The first step that no longer belongs to it.
        space: Its rows and columns, as a share of the full grid's.
        time: Its frames, as a share of the full grid's.
    """

    __pydantic_config__ = STRICT

    until_step: Annotated[int, Field(ge=0)]
    space: Scale = 1.0
    time: Scale = 1.0


@dataclass(frozen=True)
class ContentChoice:
    """Two further stages, whose grids are chosen for each video from its first prediction.

    Attributes:
        until_steps: The ends of the two; the second has full rows and columns.
        budget: Tokens of all steps, as a share of what full grids would have.
        temperature: Of the softmax that weighs space against time.
    """

    __pydantic_config__ = STRICT

    until_steps: tuple[int, int]
    budget: Scale = 0.5
    temperature: Annotated[float, Field(ge=0.0)] = 2.6


@dataclass(frozen=True, kw_only=True)
class DVGConfig:
    """Settings.

    Attributes:
        until_step: End of the first stage; 0 leaves it out.
        space: Its rows and columns, as a share of the full grid's.
        time: Its frames, as a share of the full grid's.
        then: Further stages; all steps after the last one run on the full grid.
        content: How further stages are chosen for each video, in place of `then`.
        smoothing: Share of its average-pooled copy in a prediction brought to the full grid.
    """

    __pydantic_config__ = STRICT

    until_step: Annotated[int, Field(ge=0)] = 0
    space: Scale = 0.5
    time: Scale = 1.0
    then: tuple[Stage, ...] = ()
    content: ContentChoice | None = None
    smoothing: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0

    def __post_init__(self) -> None:
        if self.then and self.content is not None:
            raise ConfigError("Stages are fixed in `then` or chosen by `content`: remove one.")
        ends = self.ends
        if any(end >= following for end, following in pairwise(ends)):
            raise ConfigError(f"Every stage must end after the one before, these end at {ends}.")

    @property
    def first(self) -> Stage:
        """The first stage."""
        return Stage(self.until_step, self.space, self.time)

    @property
    def ends(self) -> tuple[int, ...]:
        """The `until_step` of every stage."""
        further = self.content.until_steps if self.content else (s.until_step for s in self.then)
        return (self.until_step, *further)
