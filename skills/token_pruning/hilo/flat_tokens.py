"""Which given tokens have no detail: what the picture holds there, a coarser one holds as well."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def sobel_magnitude(latents: Tensor) -> Tensor:
    """sqrt(gx^2 + gy^2) in each frame, the mean over the channels.

    Args:
        latents: (batch, channels, frames, height, width).

    Returns:
        (batch, frames, height, width), float32. The frame goes on beyond its edges as it ends.
    """
    x = F.pad(latents.float(), (1, 1, 1, 1, 0, 0), mode="replicate")
    across, down = x[..., 2:] - x[..., :-2], x[..., 2:, :] - x[..., :-2, :]
    gx = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    gy = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    return torch.hypot(gx, gy).mean(1)


def find_far(is_given: Tensor, dilate: int) -> Tensor:
    """Given tokens further than `dilate` from what is generated in their frame.

    Not in the next frame: where whole frames are generated, none of the one before would be far.

    Args:
        is_given: Of each token, (frames, height, width).
    """
    generated = (~is_given).float()[:, None]
    near = F.max_pool2d(generated, 2 * dilate + 1, stride=1, padding=dilate)
    return near[:, 0] == 0


def find_flat(magnitude: Tensor, is_candidate: Tensor, percentile: float) -> Tensor:
    """The candidates up to a percentile of their Sobel magnitudes in every sample.

    What is detail in one video of a batch is none in all: the batch has one set of tokens.

    Args:
        magnitude: Of each token, (samples, tokens).
        is_candidate: (tokens,).

    Returns:
        (tokens,): whether it is flat.
    """
    rows = is_candidate.nonzero()[:, 0]
    # By rank: of candidates that are flat alike, a threshold would take all or none.
    ascending = magnitude[:, rows].argsort(dim=1, stable=True)
    n_flat = int(len(rows) * percentile / 100)
    is_flat = torch.zeros_like(ascending, dtype=torch.bool)
    is_flat.scatter_(1, ascending[:, :n_flat], True)
    return torch.zeros_like(is_candidate).index_copy_(0, rows, is_flat.all(0))
