"""Compiling what denoisers compute themselves, beneath all hooks around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sol.attach import undo_all, undo_on_error
from sol.roles import Roles
from sol.skills.kernel_fusion.compiling.compiled_region import (
    RegionCalls,
    compile_region,
    count_calls,
    evidence_of,
)
from sol.skills.kernel_fusion.compiling.counted_inductor import CountedInductor
from sol.skills.kernel_fusion.compiling.innermost_forward import replace_innermost
from sol.technique import Evidence, Installed

Forward = Callable[..., Any]


def compile_denoisers(
    roles: Roles,
    backend: CountedInductor,
    dynamic: bool,
    enclose: Callable[[Forward], Forward] = lambda region: region,
) -> Installed:
    """Compiles every denoiser, lazily.

    Args:
        enclose: A compiled region -> what is called in its place, outside of compiled code.
    """
    calls = RegionCalls()

    def compiled(forward: Forward) -> Forward:
        region = compile_region(_new_region(forward), backend, dynamic)
        return enclose(count_calls(region, backend, calls))

    undos: list[Callable[[], None]] = [backend.release]
    with undo_on_error(undos):
        undos += [replace_innermost(denoiser.module, compiled) for denoiser in roles.denoisers]

    def evidence() -> Evidence:
        return evidence_of("denoiser", len(roles.denoisers), backend, calls)

    return Installed(lambda: undo_all(undos), evidence)


def _new_region(forward: Forward) -> Any:
    def call_denoiser(*args: Any, **kwargs: Any) -> Any:
        return forward(*args, **kwargs)

    return call_denoiser
