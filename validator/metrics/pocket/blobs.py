"""Vivid blobs of one colour in a frame: objects are vivid, every background is muted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sol.models.pocket.data.scenes import COLOURS
from sol.validator.metrics.pocket.pictures import Mask, label_regions, widen

Picture = NDArray[np.floating]

_EDGE = 0.55
"""Vividness on an outline: about halfway from a muted background to the pure colour."""
_SMALLEST_AREA = 0.0035
_LEAST_SHARE = 0.25
_SURROUNDINGS = 2

_NAMES = tuple(COLOURS)


@dataclass(frozen=True)
class Blob:
    """One blob of one frame.

    Attributes:
        colour: A key of `COLOURS`.
        coverage: (height, width), how much of each pixel the blob fills, in [0, 1].
    """

    colour: str
    coverage: NDArray[np.float32]

    @property
    def area(self) -> float:
        """In pixels."""
        return float(self.coverage.sum())

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) in pixels from the top left corner."""
        height, width = self.coverage.shape
        across, down = self.coverage.sum(axis=0), self.coverage.sum(axis=1)
        x = float(across @ (np.arange(width) + 0.5))
        y = float(down @ (np.arange(height) + 0.5))
        return x / self.area, y / self.area


def find_blobs(frame: Picture) -> list[Blob]:
    """Finds every blob of a frame, in no particular order.

    Touching blobs are told apart by colour; specks below 0.35% of the picture are left out.

    Args:
        frame: (height, width, 3), RGB in [0, 1].
    """
    nearest, vividness = _classify(frame)
    labels, n_labels = label_regions(vividness > _EDGE)
    blobs = []
    for label in range(1, n_labels + 1):
        region = labels == label
        blobs += _split(frame, region, (labels > 0) & ~region, nearest)
    return blobs


def _split(frame: Picture, region: Mask, others: Mask, nearest: NDArray[np.intp]) -> list[Blob]:
    """One blob for each colour that has a fair share of a region, the whole if there is one."""
    n_pixels = np.bincount(nearest[region], minlength=len(_NAMES))
    fair = np.nonzero(n_pixels >= _LEAST_SHARE * region.sum())[0]
    blobs = []
    for index in fair:
        own = region if len(fair) == 1 else region & (nearest == index)
        if own.mean() >= _SMALLEST_AREA:
            coverage = _coverage(frame, int(index), own, others | (region & ~own))
            blobs.append(Blob(_NAMES[index], coverage))
    return blobs


def _classify(frame: Picture) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Per pixel: the palette colour of the nearest hue, and vividness against that colour's."""
    chroma = np.ptp(frame, axis=-1)
    distance = np.abs(_hue(frame)[..., None] - _PALETTE_HUES)
    nearest = np.minimum(distance, 1 - distance).argmin(axis=-1)
    return nearest, np.asarray(chroma / _PALETTE_CHROMAS[nearest], dtype=np.float32)


def _coverage(frame: Picture, index: int, whole: Mask, others: Mask) -> NDArray[np.float32]:
    """Soft coverage: where the vividness lies between the surroundings' and the blob's own."""
    vividness = np.ptp(frame, axis=-1) / _PALETTE_CHROMAS[index]
    near = widen(whole, _SURROUNDINGS) & ~others
    around = widen(near, _SURROUNDINGS) & ~near & ~others
    ground = float(np.median(vividness[around])) if around.any() else 0.0
    pure = max(float(np.quantile(vividness[whole], 0.75)), _EDGE, ground + 0.1)
    coverage = np.clip((vividness - ground) / (pure - ground), 0.0, 1.0)
    return np.where(near, coverage, 0.0).astype(np.float32)


def _hue(rgb: Picture) -> NDArray[np.float32]:
    """Hue as a fraction of a turn, red at 0 (the hexagon of HSV); 0 where there is none."""
    largest, chroma = rgb.max(axis=-1), np.ptp(rgb, axis=-1)
    safe = np.where(chroma > 0, chroma, 1.0)
    red, green, blue = (rgb[..., channel] for channel in range(3))
    sector = np.select(
        [largest == red, largest == green],
        [(green - blue) / safe, 2 + (blue - red) / safe],
        4 + (red - green) / safe,
    )
    return np.asarray(np.where(chroma > 0, sector / 6 % 1, 0.0), dtype=np.float32)


_PALETTE = np.array(list(COLOURS.values()))
_PALETTE_HUES = _hue(_PALETTE)
_PALETTE_CHROMAS = np.ptp(_PALETTE, axis=-1).astype(np.float32)
