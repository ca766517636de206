"""torch.compile of the repeated transformer blocks only.

One block is compiled and its code serves all of them, so compile time does not grow with depth
(PyTorch's regional compilation; diffusers' compile_repeated_blocks does the same). Hooks inside a
block become part of the compiled code, hooks around the denoiser stay outside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from sol.attach import count_compiled_calls, undo_all
from sol.clock import Clock
from sol.errors import NoEffectError
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.kernel_fusion.counted_inductor import GRAPHS, counted_inductor
from sol.space import Choice, Space
from sol.target import STRICT
from sol.technique import Evidence, Installed, Phase, Seam, SpaceContext, Technique

Mode = Literal["default", "max-autotune-no-cudagraphs"]


@dataclass(frozen=True)
class RegionalCompileConfig:
    """Settings.

    Attributes:
        mode: torch.compile's mode. Modes with CUDA graphs are left out: they replay into the
            same buffers, which a step cache outside the region would still hold.
    """

    __pydantic_config__ = STRICT

    mode: Mode = "default"


def install(
    roles: Roles, config: RegionalCompileConfig, schedule: Schedule, clock: Clock
) -> Installed:
    """Compiles every repeated block, lazily: the first video pays for it.

    Raises:
        NoEffectError: No denoiser has repeated blocks.
    """
    n_blocks = sum(len(denoiser.blocks) for denoiser in roles.denoisers)
    if n_blocks == 0:
        raise NoEffectError("regional_compile found no repeated blocks: nothing to compile.")
    backend = counted_inductor(config.mode)
    before = GRAPHS.snapshot()
    calls = {"block_calls": 0}
    undos = [
        _compile(block, backend, calls)
        for denoiser in roles.denoisers
        for block in denoiser.blocks
    ]

    def evidence() -> Evidence:
        runs = GRAPHS.runs - before.runs
        counts = {"regions": n_blocks, "graph_runs": runs, **calls}
        # Dynamo runs a block eagerly, and says nothing, once it has recompiled too often.
        return Evidence(runs >= counts["block_calls"] > 0, counts)

    return Installed(lambda: undo_all(undos), evidence)


def _compile(
    block: nn.Module, backend: Callable[..., object], calls: dict[str, int]
) -> Callable[[], None]:
    """Compiles one block and counts its calls: one that a cache leaves out needs no graph run."""
    old = block._compiled_call_impl

    def count() -> None:
        calls["block_calls"] += 1

    block.compile(backend=backend)
    count_compiled_calls(block, count)

    def undo() -> None:
        block._compiled_call_impl = old

    return undo


def space(context: SpaceContext) -> Space:
    """The mode; on a CPU the autotuned one compiles for minutes and is not offered."""
    if Capability.CUDA not in context.roles.capabilities:
        return Space(first=({"mode": "default"},))
    modes = Choice(("default", "max-autotune-no-cudagraphs"))
    return Space(knobs={"mode": modes}, first=({"mode": "default"},))


REGIONAL_COMPILE = Technique(
    name="regional_compile",
    skill="kernel_fusion",
    summary="torch.compile of the repeated blocks",
    exactness="numerical",
    requires=frozenset({Capability.REPEATED_BLOCKS, Capability.INDUCTOR}),
    writes=frozenset({Seam.COMPILE_REGION}),
    phase=Phase.COMPILE,
    config=RegionalCompileConfig,
    install=install,
    space=space,
)
