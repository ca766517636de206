"""How the residual of a denoiser's blocks grows from step to step: what MagCache skips by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from sol.forward_arguments import argument_reader
from sol.roles import DenoiserRoles, Roles


def watch_block_growth(stack: ExitStack, roles: Roles) -> Callable[[], tuple[float, ...]]:
    """Records until `stack` closes; the returned function gives the growth of each step.

    MagCache's gamma (arXiv 2506.09045): with r the output of the last block less the input of the
    first, the mean over tokens of |r_t| / |r_{t-1}|; the first step's is 1. Empty where calls are
    not steps: with a denoiser call for each guidance branch, or with several denoisers.
    """
    if roles.guidance == "two_call" or len(roles.denoisers) != 1:
        return lambda: ()
    norms: list[torch.Tensor] = []
    _record_norms(stack, roles.denoisers[0], norms)
    return lambda: block_growth(norms)


def block_growth(norms: list[torch.Tensor]) -> tuple[float, ...]:
    """gamma of each step, from the norms of the residual at each token, (batch, tokens) a step."""
    if not norms:
        return ()
    ratios = (float((now / before.clamp(min=1e-8)).mean()) for before, now in pairwise(norms))
    return (1.0, *ratios)


def _record_norms(stack: ExitStack, denoiser: DenoiserRoles, norms: list[torch.Tensor]) -> None:
    first, last = denoiser.blocks[0], denoiser.blocks[-1]
    read_hidden = argument_reader(first, denoiser.hidden)
    inputs: list[torch.Tensor] = []

    def enter(_module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        inputs.append(read_hidden(args, kwargs))

    def leave(_module: nn.Module, _args: tuple[Any, ...], output: torch.Tensor) -> None:
        residual = (output - inputs.pop()).float()
        norms.append(torch.linalg.vector_norm(residual, dim=-1))

    stack.callback(first.register_forward_pre_hook(enter, with_kwargs=True).remove)
    stack.callback(last.register_forward_hook(leave).remove)
