"""How torch.compile is asked to compile, and what of it is searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sol.errors import NotApplicableError
from sol.roles import Capability, Roles
from sol.skills.kernel_fusion.compiling.counted_inductor import CountedInductor
from sol.space import Choice, Space
from sol.target import STRICT
from sol.technique import SpaceContext

Mode = Literal["default", "max-autotune-no-cudagraphs"]
Kernels = Literal["inductor", "triton"]


@dataclass(frozen=True)
class CompileSettings:
    """Settings of what compiles a region.

    Attributes:
        mode: torch.compile's mode. Those with CUDA graphs are a technique of their own: graphs
            replay into memory that a cache inside the region would still hold.
        dynamic: Compile once for all shapes; False compiles once a shape, to faster code.
        kernels: What computes a graph: Inductor alone, or Sol's Triton kernels where it has the
            operations of one, and Inductor the rest.
    """

    __pydantic_config__ = STRICT

    mode: Mode = "default"
    dynamic: bool = False
    kernels: Kernels = "inductor"

    def make_backend(self, technique: str, roles: Roles) -> CountedInductor:
        """The backend of an installation.

        Raises:
            NotApplicableError: Triton kernels where there is no GPU to run them.
        """
        with_kernels = self.kernels == "triton"
        if with_kernels and Capability.CUDA not in roles.capabilities:
            raise NotApplicableError(
                f"{technique} cannot use kernels='triton' here: "
                f"{roles.lacks[Capability.CUDA]}. Use kernels='inductor'."
            )
        return CountedInductor(self.mode, with_kernels)


def compile_space(context: SpaceContext) -> Space:
    """The mode and the kernels; on a CPU autotuning takes minutes, and there are no kernels.

    Shapes are static: a target has but one.
    """
    first = {"mode": "default", "kernels": "inductor"}
    if Capability.CUDA not in context.roles.capabilities:
        return Space(first=(first,))
    return Space(
        knobs={
            "mode": Choice(("default", "max-autotune-no-cudagraphs")),
            "kernels": Choice(("inductor", "triton")),
        },
        first=(first, {**first, "kernels": "triton"}),
    )
