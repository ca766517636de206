"""How an object moves: one name for the course of its centre, size and angle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sol.models.pocket.data.scenes import DIRECTIONS

Array = NDArray[np.float64]

_GROWN = 0.25
_TURNED_RAD = np.deg2rad(60)
_MOVED = 0.07
_STRAIGHT = 0.5
_ROUND = 0.5
_ENDS = 2


def read_motion(centre: Array, radius: Array, turned_rad: float) -> str:
    """Names a motion.

    Args:
        centre: (frames, 2), x to the right and y down, in fractions of the picture's side.
        radius: (frames,), of the disc of the object's area.
        turned_rad: How far the object turns around itself.

    Returns:
        One of `scenes.MOTIONS`.
    """
    growth = float(np.log(radius[-_ENDS:].mean() / radius[:_ENDS].mean()))
    if abs(growth) > _GROWN:
        return "growing" if growth > 0 else "shrinking"
    extent = np.ptp(centre, axis=0)
    if extent.max() < _MOVED:
        return "rotating" if abs(turned_rad) > _TURNED_RAD else "still"
    shift = centre[-_ENDS:].mean(axis=0) - centre[:_ENDS].mean(axis=0)
    if np.hypot(*shift) > _STRAIGHT * extent.max():
        return max(DIRECTIONS, key=lambda name: float(np.dot(shift, DIRECTIONS[name])))
    return "circling" if extent.min() > _ROUND * extent.max() else "bouncing"
