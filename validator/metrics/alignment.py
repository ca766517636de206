"""Whether two videos are in step: PSNR forgives a lag where little moves."""

from __future__ import annotations

import math

from sol.measure.fidelity import Frames, mean_squared_error

_HALF_A_GREY_LEVEL = (0.5 / 255) ** 2
_SHORTEST = 3


def in_step(reference: Frames, other: Frames) -> float:
    """1 less the evidence that the frames match better one frame earlier or later.

    With e_s the mean squared error of other[t] against reference[t + s], over the frames that have
    both neighbours, e the smaller of e_-1 and e_+1, and c the error of half an 8-bit level, the
    evidence is (e_0 - e) / (e_0 + e + c), or 0 where that is negative. A still clip, and a clip
    with errors that no shift explains, give none.

    Args:
        reference: (frames, height, width, 3), RGB in [0, 1].
        other: The same shape.

    Returns:
        1 for equal videos, near 0 a frame out of step; NaN if a pixel is.
    """
    if len(reference) < _SHORTEST:
        return 1.0
    inner = other[1:-1]
    own = mean_squared_error(reference[1:-1], inner)
    earlier = mean_squared_error(reference[:-2], inner)
    later = mean_squared_error(reference[2:], inner)
    shifted = min(earlier, later)
    evidence = (own - shifted) / (own + shifted + _HALF_A_GREY_LEVEL)
    return evidence if math.isnan(evidence) else 1.0 - max(evidence, 0.0)
