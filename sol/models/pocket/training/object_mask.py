"""Where the objects of a clip are, seen in its pixels: there the training losses weigh more."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool3d, max_pool3d

from sol.models.pocket.workload import SPATIAL_COMPRESSION, TEMPORAL_COMPRESSION

VIVID = 0.45
"""Largest less smallest of RGB: objects are above, backgrounds below."""
_OUTLINE_PX = 2


def mask_objects(pixels: Tensor) -> Tensor:
    """Marks objects and a margin around them, where their outlines are.

    Args:
        pixels: (clips, 3, frames, height, width) in [-1, 1].

    Returns:
        (clips, 1, frames, height, width): 1 on and beside an object, else 0.
    """
    vivid = (pixels.amax(1, keepdim=True) - pixels.amin(1, keepdim=True) > 2 * VIVID).float()
    width = 2 * _OUTLINE_PX + 1
    return max_pool3d(vivid, (1, width, width), stride=1, padding=(0, _OUTLINE_PX, _OUTLINE_PX))


def share_of_objects(pixels: Tensor) -> Tensor:
    """How much of every token is object or outline.

    The first frame is a token in time of its own, as the autoencoder has it.

    Args:
        pixels: (clips, 3, frames, height, width) in [-1, 1]; whole tokens.

    Returns:
        (clips, tokens) in [0, 1], in the order of packed latents.
    """
    mask = mask_objects(pixels)
    side, step = SPATIAL_COMPRESSION, TEMPORAL_COMPRESSION
    first = avg_pool3d(mask[:, :, :1], (1, side, side))
    rest = avg_pool3d(mask[:, :, 1:], (step, side, side))
    return torch.cat([first, rest], dim=2).flatten(1)
