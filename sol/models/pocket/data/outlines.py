"""The outline of every shape, as a distance; the renderer and the judge share it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_TIPS = {"triangle": 3, "square": 4, "star": 5}
_STAR_INNER = 0.45
_CROSS_ARM = 0.35
_RING_HOLE = 0.55

_REACH = {
    "circle": 1.0,
    "square": (np.pi / 2) ** 0.5,
    "triangle": (4 * np.pi / 27**0.5) ** 0.5,
    "star": (np.pi / (5 * _STAR_INNER * np.sin(np.pi / 5))) ** 0.5,
    "cross": (np.pi / (8 * _CROSS_ARM - 4 * _CROSS_ARM**2)) ** 0.5 * np.hypot(1, _CROSS_ARM),
    "ring": (1 - _RING_HOLE**2) ** -0.5,
}

TURNS: dict[str, int] = {
    "circle": 0,
    "square": 4,
    "triangle": 3,
    "star": 5,
    "cross": 4,
    "ring": 0,
}
"""In how many positions of a full turn a shape looks the same; 0 for all."""


def reach_of(shape: str, radius: float) -> float:
    """Distance from the centre to the farthest point of a shape whose area is that of a disc."""
    return float(radius * _REACH[shape])


def signed_distance(shape: str, x: Array, y: Array, radius: Array | float) -> Array:
    """Distance to the outline near it, negative inside.

    Args:
        shape: A name in `scenes.SHAPES`.
        x: To the right of the centre; any shape, any unit.
        y: Down from the centre.
        radius: Of the disc that has the shape's area; broadcasts against x.
    """
    reach = np.asarray(radius, dtype=np.float32) * np.float32(_REACH[shape])
    if shape == "circle":
        return np.asarray(np.hypot(x, y) - reach, dtype=np.float32)
    if shape == "ring":
        middle, half_width = reach * (1 + _RING_HOLE) / 2, reach * (1 - _RING_HOLE) / 2
        return np.asarray(np.abs(np.hypot(x, y) - middle) - half_width, dtype=np.float32)
    if shape == "cross":
        return _cross_distance(x, y, reach / np.hypot(1, _CROSS_ARM))
    return _tipped_distance(shape, x, y, reach)


def _cross_distance(x: Array, y: Array, arm: Array) -> Array:
    half_width = arm * _CROSS_ARM
    along = np.maximum(np.abs(x), np.abs(y))
    across = np.minimum(np.abs(x), np.abs(y))
    return np.asarray(np.maximum(along - arm, across - half_width), dtype=np.float32)


def _tipped_distance(shape: str, x: Array, y: Array, reach: Array) -> Array:
    """A shape of n tips is one edge, mirrored and turned n times.

    The angle is folded into half a sector, where the edge runs from the tip to the inner corner.
    """
    half_sector = np.pi / _TIPS[shape]
    from_top = np.arctan2(x, -y) + (half_sector if shape == "square" else 0.0)
    folded = np.abs((from_top + half_sector) % (2 * half_sector) - half_sector)
    inner = _STAR_INNER if shape == "star" else np.cos(half_sector)
    edge = np.array([inner * np.sin(half_sector), inner * np.cos(half_sector) - 1.0])
    normal = np.array([-edge[1], edge[0]]) / np.hypot(*edge)
    rho = np.hypot(x, y)
    distance = rho * np.sin(folded) * normal[0] + (rho * np.cos(folded) - reach) * normal[1]
    return np.asarray(distance, dtype=np.float32)
