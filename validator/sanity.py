"""Faults that no average may hide: a video that is broken, black, flat or frozen."""

from __future__ import annotations

import numpy as np

from sol.measure.fidelity import Frames
from sol.validator.metrics.look import motion

RANGE_SLACK = 1e-3
BLACK = 2 / 255
"""A video whose brightest pixel is at most this is black."""
FLAT = 1 / 255
"""A frame whose channels each vary by less than this has one constant colour."""
STILL = 0.25 / 255
"""A baseline that moves less than this is still, and a still copy of it is no fault."""
FROZEN_SHARE = 0.1


def find_sanity_problems(
    frames: Frames, expected_shape: tuple[int, ...], baseline_motion: float | None = None
) -> tuple[str, ...]:
    """What is wrong with a video by itself; a broken array is not looked at further.

    Args:
        frames: (frames, height, width, 3), RGB in [0, 1].
        expected_shape: Its shape as the workload asks.
        baseline_motion: `motion` of the baseline's video; without it nothing counts as frozen.

    Returns:
        One phrase per problem; none for a sound video.
    """
    if frames.shape != expected_shape:
        return (f"shape {frames.shape} instead of {expected_shape}",)
    n_bad = int(np.size(frames) - np.count_nonzero(np.isfinite(frames)))
    if n_bad:
        return (f"{n_bad} of {frames.size} values are not finite",)
    low, high = float(frames.min()), float(frames.max())
    if low < -RANGE_SLACK or high > 1 + RANGE_SLACK:
        return (f"values from {low:.3g} to {high:.3g}, outside [0, 1]",)
    return (*_find_empty(frames, high), *_find_frozen(frames, baseline_motion))


def _find_empty(frames: Frames, brightest: float) -> tuple[str, ...]:
    if brightest <= BLACK:
        return ("black: no pixel is brighter than 2 of 255",)
    is_flat = bool(np.ptp(frames, axis=(1, 2)).max() < FLAT)
    return ("flat: every frame is one constant colour",) if is_flat else ()


def _find_frozen(frames: Frames, baseline_motion: float | None) -> tuple[str, ...]:
    if baseline_motion is None or baseline_motion < STILL:
        return ()
    share = motion(frames) / baseline_motion
    return (f"frozen: {share:.0%} of the baseline's motion",) if share < FROZEN_SHARE else ()
