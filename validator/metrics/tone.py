"""Colour casts and flicker, which VMAF and image features pass over. Frames as everywhere."""

from __future__ import annotations

import numpy as np

from sol.measure.fidelity import Frames
from sol.validator.metrics.look import luma


def colour_shift(reference: Frames, other: Frames) -> float:
    """1 - max over channels of |mean(other) - mean(reference)|, means over the whole video.

    Args:
        reference: (frames, height, width, 3), RGB in [0, 1].
        other: The same shape.

    Returns:
        1 without any cast, 0.97 where one channel is 0.03 brighter; NaN if a pixel is.
    """
    means = [np.mean(video, axis=(0, 1, 2), dtype=np.float64) for video in (reference, other)]
    return 1.0 - float(np.max(np.abs(means[1] - means[0])))


def brightness_steadiness(reference: Frames, other: Frames) -> float:
    """1 less the flicker that one video has and the other has not.

    With d_t the mean luma of other[t] less that of reference[t]: 1 - sqrt(mean of
    (d_{t+1} - d_t)^2). A constant offset and flicker that both share leave it at 1.

    Args:
        reference: (frames, height, width, 3), RGB in [0, 1], two frames or more.
        other: The same shape.

    Returns:
        1 without added flicker; NaN if a pixel is.
    """
    offset = np.mean(luma(other) - luma(reference), axis=(1, 2))
    return 1.0 - float(np.sqrt(np.mean(np.square(np.diff(offset)))))
