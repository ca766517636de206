"""torch.compile of the repeated transformer blocks only.

One block is compiled and its code serves all of its kind, so compile time does not grow with
depth (PyTorch's regional compilation; diffusers' compile_repeated_blocks does the same). Modules
inside a block become part of the compiled code, hooks around blocks and denoisers stay outside.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from sol.attach import undo_all
from sol.clock import Clock
from sol.errors import NoEffectError
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.kernel_fusion.compiling.compile_settings import CompileSettings, compile_space
from sol.skills.kernel_fusion.compiling.compiled_region import (
    RegionCalls,
    compile_region,
    count_calls,
    evidence_of,
)
from sol.technique import Evidence, Installed, Phase, Seam, Technique


def install(roles: Roles, config: CompileSettings, schedule: Schedule, clock: Clock) -> Installed:
    """Compiles every repeated block, lazily: the first video pays for it.

    Raises:
        NoEffectError: No denoiser has repeated blocks.
        NotApplicableError: Triton kernels where there is no GPU.
    """
    blocks = [block for denoiser in roles.denoisers for block in denoiser.blocks]
    if not blocks:
        raise NoEffectError("regional_compile found no repeated blocks: nothing to compile.")
    backend, calls = config.make_backend("regional_compile", roles), RegionCalls()
    undos: list[Callable[[], None]] = [backend.release]
    for kind in _by_structure(blocks):
        region = compile_region(_new_region(), backend, config.dynamic)
        counted = count_calls(region, backend, calls)
        undos += [_call_instead(block, functools.partial(counted, block)) for block in kind]

    def evidence() -> Evidence:
        return evidence_of("block", len(blocks), backend, calls)

    return Installed(lambda: undo_all(undos), evidence)


def _by_structure(blocks: Iterable[nn.Module]) -> Iterable[list[nn.Module]]:
    """Blocks of one kind share compiled code; each call tries its entries one by one."""
    kinds: dict[str, list[nn.Module]] = {}
    for block in blocks:
        kinds.setdefault(repr(block), []).append(block)
    return kinds.values()


def _new_region() -> Any:
    def call_block(block: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return block._call_impl(*args, **kwargs)  # type: ignore[no-untyped-call]

    return call_block


def _call_instead(block: nn.Module, region: Callable[..., Any]) -> Callable[[], None]:
    old = block._compiled_call_impl
    block._compiled_call_impl = region

    def undo() -> None:
        block._compiled_call_impl = old

    return undo


REGIONAL_COMPILE = Technique(
    name="regional_compile",
    skill="kernel_fusion",
    summary="torch.compile of the repeated blocks",
    exactness="numerical",
    requires=frozenset({Capability.REPEATED_BLOCKS, Capability.INDUCTOR}),
    writes=frozenset({Seam.COMPILE_REGION}),
    phase=Phase.COMPILE,
    config=CompileSettings,
    install=install,
    space=compile_space,
)
