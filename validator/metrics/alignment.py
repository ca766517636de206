"""Whether two videos are in step: PSNR forgives a lag where little moves."""

from __future__ import annotations

from sol.measure.fidelity import Frames, mean_squared_error

NEUTRAL = 0.5
_HALF_A_GREY_LEVEL = (0.5 / 255) ** 2
_SHORTEST = 3


def in_step(reference: Frames, other: Frames) -> float:
    """How much better the frames match at their own time than one frame earlier or later.

    With e_s the mean squared error of other[t] against reference[t + s], over the frames that have
    both neighbours, and e the smaller of e_-1 and e_+1: (e + c) / (e_0 + e + 2c), where c is the
    error of half an 8-bit level.

    Args:
        reference: (frames, height, width, 3), RGB in [0, 1].
        other: The same shape.

    Returns:
        Near 1 in step, near 0 a frame out of step, 0.5 where nothing moves; NaN if a pixel is.
    """
    if len(reference) < _SHORTEST:
        return NEUTRAL
    inner = other[1:-1]
    own = mean_squared_error(reference[1:-1], inner)
    earlier = mean_squared_error(reference[:-2], inner)
    later = mean_squared_error(reference[2:], inner)
    shifted = min(earlier, later) + _HALF_A_GREY_LEVEL
    return shifted / (own + shifted + _HALF_A_GREY_LEVEL)
