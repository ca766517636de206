"""Operations on pictures, by SciPy: only the pocket model's judge needs it."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from sol.errors import SolError

Mask = NDArray[np.bool_]


def label_regions(mask: Mask) -> tuple[NDArray[np.int32], int]:
    """Numbers the connected regions of a (height, width) mask from 1; returns how many there are.

    Pixels that touch at a corner alone are not connected.
    """
    labels, n_regions = _ndimage().label(mask)
    return labels, int(n_regions)


def widen(mask: Mask, pixels: int) -> Mask:
    """The mask and everything within `pixels` steps of it."""
    wide: Mask = _ndimage().binary_dilation(mask, iterations=pixels)
    return wide


def sample_at(picture: NDArray[np.float32], places: NDArray[np.floating]) -> NDArray[np.float64]:
    """Interpolates linearly between pixels; 0 outside.

    Args:
        picture: (height, width).
        places: (2, ...), row and column; whole numbers are the centres of pixels.
    """
    values = _ndimage().map_coordinates(picture, places, order=1, mode="constant")
    return np.asarray(values, dtype=np.float64)


def _ndimage() -> ModuleType:
    try:
        from scipy import ndimage
    except ImportError as error:
        raise SolError(
            "The metrics pocket_fit and pocket_agreement need SciPy: "
            "pip install -c constraints.txt 'sol-tuner[tune]', or use --gate near-lossless."
        ) from error
    module: ModuleType = ndimage
    return module
