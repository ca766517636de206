"""VBench's temporal flickering, the one of its dimensions that needs no weights."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from sol.measure.fidelity import Frames

_WHITE = 255.0


def temporal_flickering(frames: Frames) -> float:
    """(255 - MAE) / 255, with MAE the mean over consecutive 8-bit frames; higher is steadier.

    VBench 0.1.5, `vbench/temporal_flickering.py`. VBench reads the frames from an encoded file;
    here they are rounded to 8 bits and not compressed. Blur and freezing raise this score, so it
    never stands alone.

    Args:
        frames: (frames, height, width, 3), RGB in [0, 1], two frames or more.

    Returns:
        In [0, 1]; NaN if any pixel is.
    """
    levels = np.rint(np.clip(frames, 0.0, 1.0) * _WHITE)
    steps = [np.mean(np.abs(b - a), dtype=np.float64) for a, b in pairwise(levels)]
    return float((_WHITE - np.mean(steps)) / _WHITE)
