"""Damage to finished videos, as a technique could do it: what a gate is tried with.

Frames are (frames, height, width, 3), RGB in [0, 1]; nothing is changed in place.
"""

from __future__ import annotations

import numpy as np

from sol.measure.fidelity import Frames

_BLUR_PASSES = 3
_FLICKER = 0.05
_SHIFT = 0.05


def blur(frames: Frames) -> Frames:
    """Three passes of a binomial filter along both sides: a standard deviation of 1.2 pixels."""
    for axis in (1, 2):
        for _ in range(_BLUR_PASSES):
            frames = _binomial(frames, axis)
    return frames


def freeze(frames: Frames) -> Frames:
    """The first frame throughout."""
    return np.repeat(frames[:1], len(frames), axis=0)


def stutter(frames: Frames) -> Frames:
    """Every second frame shows the one before once more."""
    numbers = np.arange(len(frames))
    return frames.take(numbers - numbers % 2, axis=0)


def lag(frames: Frames) -> Frames:
    """One frame late."""
    return np.concatenate([frames[:1], frames[:-1]])


def flicker(frames: Frames) -> Frames:
    """Every second frame 5% darker."""
    gains = np.where(np.arange(len(frames)) % 2, 1.0 - _FLICKER, 1.0).astype(frames.dtype)
    return frames * gains[:, None, None, None]


def shift_colour(frames: Frames) -> Frames:
    """5% more red and 5% less blue."""
    offset = np.array([_SHIFT, 0.0, -_SHIFT], dtype=frames.dtype)
    return np.clip(frames + offset, 0.0, 1.0)


def _binomial(frames: Frames, axis: int) -> Frames:
    edge = [(1, 1) if i == axis else (0, 0) for i in range(frames.ndim)]
    padded = np.pad(frames, edge, mode="edge")
    n = frames.shape[axis]
    left, middle, right = (padded.take(range(k, k + n), axis) for k in range(3))
    return np.asarray((left + 2 * middle + right) / 4, dtype=frames.dtype)
