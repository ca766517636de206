"""Whole denoiser calls as CUDA graphs: a call's kernels are launched all at once.

torch.compile's mode "reduce-overhead" (Inductor's CUDA graph trees). A graph replays into memory
of its own, which its next run overwrites. So every call begins a new step of the trees, its
outputs are cloned for whoever keeps them, and a stack is refused whose other members keep what
was computed inside a call for a later one (`reads`).

Not measured: this was written on a machine without a GPU, where the same code runs without graphs
and its evidence says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from sol.clock import Clock
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.kernel_fusion.compiling.compiled_denoisers import compile_denoisers
from sol.skills.kernel_fusion.compiling.counted_inductor import CountedInductor
from sol.skills.kernel_fusion.compiling.full_compile import FULL_COMPILE
from sol.space import Space
from sol.target import STRICT
from sol.technique import Evidence, Installed, Phase, Seam, SpaceContext, Technique


@dataclass(frozen=True)
class CUDAGraphsConfig:
    """No settings: a graph is of one shape and one mode."""

    __pydantic_config__ = STRICT


def install(roles: Roles, config: CUDAGraphsConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Compiles every denoiser, lazily: the first video pays for it."""
    skips_before = _count_skips()
    backend = CountedInductor("reduce-overhead")
    compiled = compile_denoisers(roles, backend, dynamic=False, enclose=_as_steps)

    def evidence() -> Evidence:
        of_regions = compiled.evidence()
        # Inductor runs a compiled graph without a CUDA graph, and only logs it, where it must.
        skips = _count_skips() - skips_before
        counts = {**of_regions.counts, "cuda_graph_skips": skips}
        return Evidence(of_regions.engaged and skips == 0, counts)

    return replace(compiled, evidence=evidence)


def _as_steps(region: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return tree_map_only(torch.Tensor, torch.clone, region(*args, **kwargs))

    return call


def _count_skips() -> int:
    from torch._dynamo.utils import counters

    return int(counters["inductor"]["cudagraph_skips"])


def space(context: SpaceContext) -> Space:
    """Nothing to choose."""
    return Space(first=({},))


CUDA_GRAPHS = Technique(
    name="cuda_graphs",
    skill="kernel_fusion",
    summary="whole denoiser calls as CUDA graphs",
    exactness="numerical",
    requires=frozenset({Capability.CUDA, Capability.INDUCTOR}),
    reads=FULL_COMPILE.reads
    | {
        Seam.TEXT_PROJECTION,
        Seam.PROMPT_PROJECTION,
        Seam.ATTENTION_OUTPUT,
        Seam.ATTENTION_PATTERN,
        Seam.LATENT_GRID,
    },
    writes=frozenset({Seam.COMPILE_REGION}),
    phase=Phase.COMPILE,
    config=CUDAGraphsConfig,
    install=install,
    space=space,
)
