"""Comparison clips: both videos in one image, so that they cannot go out of step."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sol.measure.fidelity import Frames

GAP_PX = 8
_SMALLEST_SIDE_PX = 256
_GREY = 128
_WHITE = 255


def side_by_side_webp(baseline: Frames, accelerated: Frames, fps: float) -> bytes:
    """A lossless animated WebP, baseline left and accelerated right, looping for ever.

    Small videos are enlarged by a whole factor, pixel by pixel, to about 256 px.

    Args:
        baseline: (frames, height, width, 3), RGB in [0, 1].
        accelerated: The same shape.
        fps: Frames per second.

    Raises:
        ValueError: The shapes differ.
    """
    if baseline.shape != accelerated.shape:
        raise ValueError(f"Shapes differ: {baseline.shape} and {accelerated.shape}.")
    images = [
        Image.fromarray(_join(left, right))
        for left, right in zip(_to_pixels(baseline), _to_pixels(accelerated), strict=True)
    ]
    stream = io.BytesIO()
    images[0].save(
        stream,
        format="WEBP",
        save_all=True,
        append_images=images[1:],
        duration=round(1000 / fps),
        loop=0,
        lossless=True,
    )
    return stream.getvalue()


def _join(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    gap = np.full((left.shape[0], GAP_PX, 3), _GREY, dtype=np.uint8)
    return np.concatenate([left, gap, right], axis=1)


def _to_pixels(frames: Frames) -> NDArray[np.uint8]:
    clean = np.nan_to_num(np.asarray(frames, dtype=np.float64), nan=0.0)
    pixels = np.rint(np.clip(clean, 0.0, 1.0) * _WHITE).astype(np.uint8)
    factor = -(-_SMALLEST_SIDE_PX // max(frames.shape[1:3]))
    return pixels.repeat(factor, axis=1).repeat(factor, axis=2)
