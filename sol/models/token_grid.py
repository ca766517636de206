"""The latent grid of a denoiser that returns tokens and is told the sizes of the grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from sol.forward_arguments import argument_reader
from sol.roles import LatentGrid


def describe_token_grid(transformer: nn.Module) -> LatentGrid:
    """Outputs (batch, frames * height * width, channels), frames first, width last."""
    names = ("num_frames", "height", "width")
    readers = [argument_reader(transformer, name) for name in names]

    def to_grid(
        tokens: torch.Tensor, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> torch.Tensor:
        sizes = [int(read(args, kwargs)) for read in readers]
        batch, _, channels = tokens.shape
        return tokens.reshape(batch, *sizes, channels).movedim(-1, 1)

    def from_grid(grid: torch.Tensor) -> torch.Tensor:
        return grid.movedim(1, -1).flatten(1, 3)

    return LatentGrid(to_grid, from_grid)
