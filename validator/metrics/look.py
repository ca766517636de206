"""Sharpness, motion and saturation: compared as ratios, they catch blur, freezing and washing out.

Frames are (frames, height, width, 3), RGB in [0, 1]. Luma changes count from two 8-bit levels up:
smaller ones are rounding, not seen, and would swamp still videos and flat backgrounds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sol.measure.fidelity import Frames

DEAD_ZONE = 2 / 255
_REC_709 = np.array([0.2126, 0.7152, 0.0722])


def sharpness(frames: Frames) -> float:
    """Mean luma gradient beyond the dead zone: sqrt(dx^2 + dy^2), forward differences."""
    levels = luma(frames)
    dx = np.diff(levels, axis=2)[:, :-1, :]
    dy = np.diff(levels, axis=1)[:, :, :-1]
    return _mean_visible(np.hypot(dx, dy))


def motion(frames: Frames) -> float:
    """Mean luma difference of consecutive frames beyond the dead zone; 0 for a still video."""
    return _mean_visible(np.abs(np.diff(luma(frames), axis=0)))


def saturation(frames: Frames) -> float:
    """Mean chroma, max(R, G, B) - min(R, G, B): unlike HSV's saturation it is calm in the dark."""
    return float(np.mean(np.max(frames, axis=-1) - np.min(frames, axis=-1), dtype=np.float64))


def luma(frames: Frames) -> NDArray[np.float64]:
    """Rec. 709 luma of the encoded values, (frames, height, width)."""
    return np.asarray(frames @ _REC_709, dtype=np.float64)


def _mean_visible(changes: NDArray[np.float64]) -> float:
    """The mean of what exceeds the dead zone; NaN if any change is."""
    return float(np.mean(np.maximum(changes - DEAD_ZONE, 0.0)))
