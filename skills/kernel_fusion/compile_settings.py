"""How torch.compile is asked to compile, and what of it is searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sol.roles import Capability
from sol.space import Choice, Space
from sol.target import STRICT
from sol.technique import SpaceContext

Mode = Literal["default", "max-autotune-no-cudagraphs"]


@dataclass(frozen=True)
class CompileSettings:
    """Settings of what compiles a region.

    Attributes:
        mode: torch.compile's mode. Those with CUDA graphs are a technique of their own: graphs
            replay into memory that a cache inside the region would still hold.
        dynamic: Compile once for all shapes; False compiles once a shape, to faster code.
    """

    __pydantic_config__ = STRICT

    mode: Mode = "default"
    dynamic: bool = False


def compile_space(context: SpaceContext) -> Space:
    """The mode; on a CPU the autotuned one compiles for minutes and is not offered.

    Shapes are static: a target has but one.
    """
    if Capability.CUDA not in context.roles.capabilities:
        return Space(first=({"mode": "default"},))
    modes = Choice(("default", "max-autotune-no-cudagraphs"))
    return Space(knobs={"mode": modes}, first=({"mode": "default"},))
