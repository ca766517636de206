"""Tiles of the latent grid: boxes of neighbouring tokens."""

from __future__ import annotations

from math import ceil, prod

from torch import Tensor

Sizes = tuple[int, int, int]


def choose_tile(sizes: Sizes, volume: int) -> Sizes:
    """The box of `volume` tokens that fits the grid best.

    Boxes that divide the grid come first: others leave pieces at its edge, and what is cut into
    blocks of `volume` then crosses them. Among equals the most compact.
    """
    boxes = [box for box in _boxes(volume) if all(a <= b for a, b in zip(box, sizes, strict=True))]
    return min(boxes, key=lambda box: (_padding(box, sizes), sum(box)), default=(1, 1, 1))


def tile_index(coordinates: Tensor, sizes: Sizes, tile: Sizes) -> Tensor:
    """A number for each point that grows from tile to tile, and inside of each in raster order.

    Args:
        coordinates: (points, 3).
    """
    index = coordinates.new_zeros(len(coordinates))
    for axis, (size, side) in enumerate(zip(sizes, tile, strict=True)):
        index = index * ceil(size / side) + coordinates[:, axis] // side
    for axis, side in enumerate(tile):
        index = index * side + coordinates[:, axis] % side
    return index


def _boxes(volume: int) -> list[Sizes]:
    sides = [n for n in range(1, volume + 1) if volume % n == 0]
    return [(a, b, volume // (a * b)) for a in sides for b in sides if volume % (a * b) == 0]


def _padding(box: Sizes, sizes: Sizes) -> float:
    covered = prod(ceil(size / side) * side for size, side in zip(sizes, box, strict=True))
    return covered / prod(sizes)
