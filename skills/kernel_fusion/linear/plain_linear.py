"""Which linear layers may be replaced: those that compute x W^T + b and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeGuard

import torch
from torch import nn

from sol.attach import find_places
from sol.roles import DenoiserRoles


def is_plain_linear(module: nn.Module, dtype: torch.dtype | None = None) -> TypeGuard[nn.Linear]:
    """Whether it is a stock linear layer over a stock weight, of `dtype` if given, without hooks.

    A quantised layer is none: neither a class of its own nor a weight of a tensor class of its
    own, as torchao has it.
    """
    return (
        type(module) is nn.Linear
        and type(module.weight) is nn.Parameter
        and dtype in (None, module.weight.dtype)
        and has_no_hooks(module)
    )


def has_no_hooks(module: nn.Module) -> bool:
    """Whether nobody would miss the module's calls."""
    hooks = (module._forward_hooks, module._forward_pre_hooks)
    return not any(hooks) and "forward" not in vars(module)


def find_plain_linears(
    denoiser: DenoiserRoles, dtype: torch.dtype
) -> list[tuple[nn.Module, str, nn.Linear]]:
    """(parent, name there, layer) of the plain linear layers inside of blocks.

    Also those inside of what already stands in the place of a layer. A stand-in that needs the
    layer as it is, to read its weight later, says so in an attribute `keeps_original`.
    """
    return [
        (parent, name, layer)
        for parent, name, layer in find_places(denoiser.module, _parts_of_linears(denoiser))
        if is_plain_linear(layer, dtype) and not getattr(parent, "keeps_original", False)
    ]


def _parts_of_linears(denoiser: DenoiserRoles) -> Iterator[nn.Module]:
    for part in denoiser.block_linears:
        yield from part.modules()
