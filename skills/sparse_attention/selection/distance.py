"""Blocks by where they lie: the nearer, the better."""

from __future__ import annotations

import torch
from torch import Tensor


def score_window(centres: Tensor, stretch: float) -> Tensor:
    """A sliding box around each block, as Sliding Tile Attention has it (arXiv 2502.04507).

    Where the box would leave the grid it is moved inward: each block of queries keeps the same
    number of blocks.

    Args:
        centres: (blocks, 3), shares of the grid's sides.
        stretch: How far the box reaches in time for what it reaches in space.

    Returns:
        (blocks, blocks), the negative distance.
    """
    apart = _apart(centres)
    sides = torch.tensor([1 / stretch, 1.0, 1.0], device=centres.device)
    # Of blocks at one distance of the box, those nearer by the sum of the axes come first.
    box: Tensor = (apart * sides).amax(-1)
    return -box - 1e-3 * apart.sum(-1)


def score_radial(centres: Tensor, frames: int, decay: float) -> Tensor:
    """A window in space that shrinks with the distance in time.

    Radial Attention (arXiv 2506.19852) halves it for each doubling of the distance in frames,
    as attention fades; that is `decay` 1, and 0 is the same window at any distance.

    Args:
        centres: (blocks, 3), shares of the grid's sides.
        frames: Of the grid.

    Returns:
        (blocks, blocks), the negative distance.
    """
    apart = _apart(centres)
    in_time = apart[..., 0] * frames
    in_space = apart[..., 1:].amax(-1)
    # Half a block's width more, or all blocks straight ahead in time would be at distance 0.
    width = centres.shape[0] ** -0.5 / 2
    scores: Tensor = -(in_space + width) * (in_time + 1) ** decay
    return scores


def score_frames(centres: Tensor) -> Tensor:
    """Spatial attention: the same and the neighbouring frames first."""
    apart = _apart(centres)
    return -apart[..., 0] - 1e-3 * apart[..., 1:].amax(-1)


def score_places(centres: Tensor) -> Tensor:
    """Temporal attention: the same place in all frames first."""
    apart = _apart(centres)
    return -apart[..., 1:].amax(-1) - 1e-3 * apart[..., 0]


def _apart(centres: Tensor) -> Tensor:
    """(blocks, blocks, 3): distances along each axis."""
    return (centres[:, None] - centres[None]).abs()
