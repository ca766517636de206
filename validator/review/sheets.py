"""All frames of one video in one picture, as the player takes them."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_FAST = 1
"""zlib's level: on a loopback, time to encode counts and size does not."""


def count_columns(n_frames: int) -> int:
    """Frames in a row: as near to a square of frames as it gets."""
    return math.ceil(math.sqrt(n_frames))


def encode_sheet(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG with nothing but the pixels: the same pixels give the same bytes.

    Args:
        pixels: (frames, height, width, 3), RGB.
    """
    n_frames, height, width, channels = pixels.shape
    columns = count_columns(n_frames)
    rows = math.ceil(n_frames / columns)
    cells = np.zeros((rows * columns, height, width, channels), np.uint8)
    cells[:n_frames] = pixels
    grid = cells.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    sheet = grid.reshape(rows * height, columns * width, channels)
    stream = io.BytesIO()
    Image.fromarray(sheet).save(stream, format="PNG", compress_level=_FAST)
    return stream.getvalue()
