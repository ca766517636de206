"""How the tokens of a denoiser lie on the latent grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from sol.forward_arguments import argument_reader, replace_arguments
from sol.roles import Call, LatentGrid, TokenGrid

_SIZES = ("num_frames", "height", "width")
_SCALE = "rope_interpolation_scale"


def describe_token_grid(transformer: nn.Module) -> LatentGrid:
    """Of a denoiser that is told the sizes: outputs (batch, frames * height * width, channels)."""
    read_grid = told_grid(transformer)

    def to_grid(
        tokens: torch.Tensor, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> torch.Tensor:
        batch, _, channels = tokens.shape
        return tokens.reshape(batch, *read_grid(args, kwargs).sizes, channels).movedim(-1, 1)

    def from_grid(grid: torch.Tensor) -> torch.Tensor:
        return grid.movedim(1, -1).flatten(1, 3)

    return LatentGrid(to_grid, from_grid)


def told_grid(
    transformer: nn.Module,
) -> Callable[[tuple[Any, ...], Mapping[str, Any]], TokenGrid]:
    """The grid of a denoiser that is given tokens and told the sizes of their grid."""
    readers: list[Callable[..., Any]] = [argument_reader(transformer, name) for name in _SIZES]
    return lambda args, kwargs: TokenGrid(*(int(read(args, kwargs)) for read in readers))


def patched_grid(
    transformer: Any, own_patch: tuple[int, int, int] | None = None
) -> Callable[[tuple[Any, ...], Mapping[str, Any]], TokenGrid]:
    """The grid of a denoiser that cuts latents (batch, channels, frames, height, width).

    Args:
        own_patch: Frames, rows and columns of a patch; of the config if not told.
    """
    read = argument_reader(transformer, "hidden_states")
    patch = own_patch or transformer.config.patch_size

    def grid(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> TokenGrid:
        sizes = read(args, kwargs).shape[2:]
        return TokenGrid(*(n // size for n, size in zip(sizes, patch, strict=True)))

    return grid


def resize_told_call(transformer: nn.Module) -> Callable[[Call, tuple[int, int, int]], Call]:
    """Tells a denoiser other sizes, with positions stretched over the same space and time.

    Of a denoiser whose call has a `rope_interpolation_scale`: seconds a latent frame, pixels a
    row, pixels a column.
    """
    read_grid = told_grid(transformer)
    read_scale: Callable[..., Any] = argument_reader(transformer, _SCALE)

    def resize(call: Call, sizes: tuple[int, int, int]) -> Call:
        args, kwargs = call
        old = read_grid(args, kwargs).sizes
        scale = read_scale(args, kwargs)
        stretched = tuple(
            s * before / now for s, before, now in zip(scale, old, sizes, strict=True)
        )
        changes = {**dict(zip(_SIZES, sizes, strict=True)), _SCALE: stretched}
        return replace_arguments(transformer, args, kwargs, changes)

    return resize


def as_called(call: Call, sizes: tuple[int, int, int]) -> Call:
    """Of a denoiser that sees the sizes in its latents and counts positions from their corner."""
    return call
