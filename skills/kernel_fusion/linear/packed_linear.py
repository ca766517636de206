"""Linear layers of blocks over weights that oneDNN laid out once, with the GELU after them.

For CPUs in float32. Layers outside of blocks stay: they have few rows, and there the operator's
own overhead is more than it saves (measured: two rows take twice as long, 64 as long, 640 half).

What stands in the place of a layer, a quantised one above all, is left alone. A layer that is kept
inside of it, for steps in full precision, is packed as well, unless the stand-in says
`keeps_original`: it reads the layer's weight while videos are made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from sol.attach import find_places, replace_child, undo_all, undo_on_error
from sol.clock import Clock
from sol.diagnosis import Diagnosis
from sol.errors import NoEffectError
from sol.roles import Capability, DenoiserRoles, Roles
from sol.schedule import Schedule
from sol.skills.kernel_fusion.denoiser_calls import count_denoiser_calls
from sol.skills.kernel_fusion.linear.packed_linear_op import PackedLinear
from sol.skills.kernel_fusion.linear.plain_linear import (
    find_plain_linears,
    has_no_hooks,
    is_plain_linear,
)
from sol.space import Space
from sol.target import STRICT
from sol.technique import Evidence, Installed, Phase, Seam, SpaceContext, Technique


@dataclass(frozen=True)
class PackedLinearConfig:
    """No settings: more layers are always faster."""

    __pydantic_config__ = STRICT


def install(
    roles: Roles, config: PackedLinearConfig, schedule: Schedule, clock: Clock
) -> Installed:
    """Replaces every plain linear layer inside of blocks; the originals come back on undo.

    Raises:
        NoEffectError: Nothing is left to pack.
    """
    undos: list[Callable[[], None]] = []
    with undo_on_error(undos):
        for denoiser in roles.denoisers:
            _fold_gelu(denoiser, undos)
        n_folded = len(undos)
        for denoiser in roles.denoisers:
            _pack(denoiser, undos)
        n_packed = len(undos)
        if n_packed == 0:
            raise NoEffectError(
                "packed_linear found no float32 linear layer inside of blocks that nothing else "
                "stands for: nothing was packed."
            )
        calls = count_denoiser_calls(roles.denoisers, "packed_linear", undos)

    def evidence() -> Evidence:
        counts = {
            "layers_packed": n_packed,
            "activations_folded": n_folded,
            "denoiser_calls": calls.n,
        }
        return Evidence(calls.n > 0, counts)

    return Installed(lambda: undo_all(undos), evidence)


def _fold_gelu(denoiser: DenoiserRoles, undos: list[Callable[[], None]]) -> None:
    foldable = {
        pair.module: PackedLinear(pair.linear, pair.form)
        for pair in denoiser.gelu_projections
        if has_no_hooks(pair.module) and is_plain_linear(pair.linear, torch.float32)
    }
    for parent, name, child in find_places(denoiser.module, foldable):
        undos.append(replace_child(parent, name, foldable[child]))


def _pack(denoiser: DenoiserRoles, undos: list[Callable[[], None]]) -> None:
    """After the pairs: a layer that is folded is no longer in the denoiser, and not found."""
    for parent, name, layer in find_plain_linears(denoiser, torch.float32):
        undos.append(replace_child(parent, name, PackedLinear(layer)))


def space(context: SpaceContext) -> Space:
    """One setting: on."""
    return Space(first=({},))


def saves(diagnosis: Diagnosis) -> float:
    """As much as the linear layers take: about half of it, and the GELU, which takes less."""
    return diagnosis.linear_s


PACKED_LINEAR = Technique(
    name="packed_linear",
    skill="kernel_fusion",
    summary="linear layers over weights laid out once by oneDNN, GELU folded in (CPU)",
    exactness="numerical",
    requires=frozenset({Capability.PACKED_LINEAR_CPU}),
    writes=frozenset({Seam.LINEAR_KERNEL}),
    phase=Phase.MODULES,
    config=PackedLinearConfig,
    install=install,
    space=space,
    saves=saves,
)
