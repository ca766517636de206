"""Reads the colour and the motion of the one object back from a clip of plain background."""

import numpy as np
from numpy.typing import NDArray

from sol.models.pocket.scenes import COLOURS, DIRECTIONS

Array = NDArray[np.float32]

_STILL_BELOW_PX = 5.0
_FOREGROUND = 0.5
_CORE = 0.8


def read_colour(frames: Array) -> str:
    """Names the object's colour: the nearest in RGB to its median pixel.

    Args:
        frames: (frames, height, width, 3), RGB in [0, 1].
    """
    core = _contrast(frames)
    pixel = np.median(frames[core > _CORE * core.max()], axis=0)
    return min(COLOURS, key=lambda name: float(np.sum((pixel - np.asarray(COLOURS[name])) ** 2)))


def read_direction(frames: Array) -> str:
    """Names the object's motion: the nearest of eight directions, or "still".

    Args:
        frames: (frames, height, width, 3), RGB in [0, 1].
    """
    shift = read_displacement_px(frames)
    if np.hypot(*shift) < _STILL_BELOW_PX:
        return "still"
    moving = [name for name in DIRECTIONS if name != "still"]
    return max(moving, key=lambda name: float(np.dot(shift, DIRECTIONS[name])))


def read_displacement_px(frames: Array) -> Array:
    """The (x, y) by which the object's centre moves from the first frames to the last.

    Args:
        frames: (frames, height, width, 3), RGB in [0, 1].
    """
    contrast = _contrast(frames)
    weight = np.where(contrast > _FOREGROUND * contrast.max(), contrast, 0.0)
    grid_y, grid_x = np.mgrid[0 : frames.shape[1], 0 : frames.shape[2]]
    mass = weight.sum(axis=(1, 2)) + 1e-6
    x = (weight * grid_x).sum(axis=(1, 2)) / mass
    y = (weight * grid_y).sum(axis=(1, 2)) / mass
    ends = [np.median(axis[-3:]) - np.median(axis[:3]) for axis in (x, y)]
    return np.asarray(ends, dtype=np.float32)


def _contrast(frames: Array) -> Array:
    """Distance of every pixel to the background, the median over all pixels."""
    background = np.median(frames.reshape(-1, 3), axis=0)
    return np.asarray(np.linalg.norm(frames - background, axis=-1), dtype=np.float32)
