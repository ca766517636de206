"""Between a grid and a coarser one: what becomes of signals, and what of noise.

All maps are linear and act on each axis by itself. For an axis of n cells and a coarser one of c,

    P (c x n)  the mean over each coarse cell, cells that it covers in part in proportion
    U (n x c)  linear interpolation between the centres of the coarse cells
    W (c x n)  (P P^T)^(-1/2) P

The rows of W are orthonormal, so that white noise of unit variance stays white noise of unit
variance; of all such maps W is the closest to P (Loewdin). For a whole factor n / c it is the
mean over the cell, times the square root of its size. The coarse noise is a function of the full
one: every grid of a video has the noise of the same seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

Sizes = tuple[int, int, int]
"""Frames, rows and columns."""

_AXES = (2, 3, 4)
_POOL = (1, 3, 3)


@dataclass(frozen=True)
class Resampling:
    """Between two grids of (batch, channels, frames, height, width)."""

    full: Sizes
    coarse: Sizes

    def pool(self, grid: Tensor) -> Tensor:
        """A signal of the full grid on the coarse one."""
        return self._map(grid, pooling)

    def whiten(self, noise: Tensor) -> Tensor:
        """White noise of the full grid as white noise of the coarse one."""
        return self._map(noise, whitening)

    def spread(self, grid: Tensor) -> Tensor:
        """A signal of the coarse grid on the full one."""
        return self._map(grid, spreading)

    def _map(self, grid: Tensor, make: Callable[[int, int], Tensor]) -> Tensor:
        for axis, n, c in zip(_AXES, self.full, self.coarse, strict=True):
            if n != c:
                matrix = make(n, c).to(grid)
                grid = (grid.movedim(axis, -1) @ matrix.mT).movedim(-1, axis)
        return grid


def smooth(grid: Tensor, share: float) -> Tensor:
    """Blends a grid with its mean over 3 x 3 neighbours in each frame."""
    if share == 0.0:
        return grid
    pads = tuple(size // 2 for size in _POOL)
    pooled: Tensor = functional.avg_pool3d(grid, _POOL, 1, pads, count_include_pad=False)
    return torch.lerp(grid, pooled, share)


@cache
def pooling(n: int, c: int) -> Tensor:
    """P, (c, n), float64."""
    factor = n / c
    start = torch.arange(c, dtype=torch.float64)[:, None] * factor
    cell = torch.arange(n, dtype=torch.float64)[None]
    overlap = torch.minimum(start + factor, cell + 1) - torch.maximum(start, cell)
    return overlap.clamp(min=0) / factor


@cache
def whitening(n: int, c: int) -> Tensor:
    """W, (c, n), float64."""
    pool = pooling(n, c)
    values, vectors = torch.linalg.eigh(pool @ pool.mT)
    white: Tensor = vectors @ torch.diag(values.rsqrt()) @ vectors.mT @ pool
    return white


@cache
def spreading(n: int, c: int) -> Tensor:
    """U, (n, c), float64; beyond the outer centres their value is held."""
    centre = (torch.arange(n, dtype=torch.float64) + 0.5) * c / n - 0.5
    distance = centre.clamp(0, c - 1)[:, None] - torch.arange(c, dtype=torch.float64)[None]
    return (1 - distance.abs()).clamp(min=0)
