"""Positions along curves that fill a cube: tokens near each other on them are near in the grid."""

from __future__ import annotations

import torch
from torch import Tensor


def morton_index(coordinates: Tensor) -> Tensor:
    """The place of each point on the Z-order curve (Morton 1966): the bits of all axes in turn.

    Args:
        coordinates: (points, axes), integers from 0.
    """
    n_bits = _n_bits(coordinates)
    return _interleave(coordinates, n_bits)


def hilbert_index(coordinates: Tensor) -> Tensor:
    """The place of each point on a Hilbert curve, on which neighbours are always adjacent.

    Skilling, "Programming the Hilbert curve", AIP Conference Proceedings 707 (2004): the inverse
    undo of excess work, then Gray encoding.

    Args:
        coordinates: (points, axes), integers from 0; the curve fills the cube around them.
    """
    n_bits = _n_bits(coordinates)
    axes = list(coordinates.clone().unbind(-1))
    for bit in reversed(range(1, n_bits)):
        mask = (1 << bit) - 1
        for axis in range(len(axes)):
            _exchange_or_invert(axes, axis, bit, mask)
    for axis in range(1, len(axes)):
        axes[axis] = axes[axis] ^ axes[axis - 1]
    flip = torch.zeros_like(axes[0])
    for bit in reversed(range(1, n_bits)):
        flip = torch.where((axes[-1] >> bit) & 1 == 1, flip ^ ((1 << bit) - 1), flip)
    return _interleave(torch.stack([axis ^ flip for axis in axes], dim=-1), n_bits)


def _exchange_or_invert(axes: list[Tensor], axis: int, bit: int, mask: int) -> None:
    """Inverts the first axis below the bit where it is set; elsewhere exchanges the two."""
    is_set = (axes[axis] >> bit) & 1 == 1
    exchanged = (axes[0] ^ axes[axis]) & mask
    first = torch.where(is_set, axes[0] ^ mask, axes[0] ^ exchanged)
    if axis:
        axes[axis] = torch.where(is_set, axes[axis], axes[axis] ^ exchanged)
    axes[0] = first


def _interleave(coordinates: Tensor, n_bits: int) -> Tensor:
    code = torch.zeros(len(coordinates), dtype=torch.int64)
    for bit in reversed(range(n_bits)):
        for axis in coordinates.unbind(-1):
            code = (code << 1) | ((axis >> bit) & 1)
    return code


def _n_bits(coordinates: Tensor) -> int:
    return max(int(coordinates.max()).bit_length(), 1)
