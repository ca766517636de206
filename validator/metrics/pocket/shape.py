"""Which shape a blob has, and how it is turned: the best overlap with a bank of templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from sol.models.pocket.data.outlines import TURNS, signed_distance
from sol.models.pocket.data.scenes import SHAPES
from sol.validator.metrics.pocket.blobs import Blob
from sol.validator.metrics.pocket.pictures import sample_at

Array = NDArray[np.float64]

_GRID = 24
_REACH = 1.8
"""Half the side of a template, in radii of the disc of the same area."""
_STEP_DEG = 6.0


@dataclass(frozen=True)
class ShapeReading:
    """The shape of one object over time.

    Attributes:
        name: A name in `SHAPES`.
        fit: Mean over frames of the overlap with its best template, in [0, 1].
        turned_rad: How far it turns from the first frame to the last, clockwise.
    """

    name: str
    fit: float
    turned_rad: float


@dataclass(frozen=True)
class _Bank:
    """All templates, (templates, pixels), with the shape and the angle of each."""

    pictures: Array
    shapes: NDArray[np.str_]
    angles: Array


def read_shape(blobs: Sequence[Blob]) -> ShapeReading:
    """Reads the shape from the blobs of one object, one a frame.

    The overlap is intersection over union, of soft coverages scaled to the same area and centre.
    """
    bank = _bank()
    patches = np.stack([_cut_out(blob) for blob in blobs])
    overlap = _overlap(patches, bank.pictures)
    best = {name: overlap[:, bank.shapes == name].max(axis=1).mean() for name in SHAPES}
    name = max(best, key=lambda key: float(best[key]))
    chosen = bank.shapes == name
    angles = bank.angles[chosen][overlap[:, chosen].argmax(axis=1)]
    return ShapeReading(name, float(best[name]), _turn(angles, TURNS[name]))


def _cut_out(blob: Blob) -> Array:
    """(pixels,) the blob's coverage on the templates' grid."""
    x, y = blob.centre
    radius = np.sqrt(blob.area / np.pi)
    down, across = _grid() * radius
    places = np.stack([y + down - 0.5, x + across - 0.5])
    return sample_at(blob.coverage, places).ravel()


def _overlap(patches: Array, templates: Array) -> Array:
    """(patches, templates) sum of minima over sum of maxima."""
    rows = []
    for patch in patches:
        both = np.minimum(patch, templates).sum(axis=1)
        rows.append(both / (patch.sum() + templates.sum(axis=1) - both))
    return np.stack(rows)


def _turn(angles: Array, turns: int) -> float:
    """The total turn, by a line through the angles, which repeat `turns` times a circle."""
    if turns == 0 or len(angles) < 2:  # noqa: PLR2004
        return 0.0
    course = np.unwrap(angles, period=2 * np.pi / turns)
    slope = np.polyfit(np.arange(len(course)), course, 1)[0]
    return float(slope * (len(course) - 1))


def _grid() -> NDArray[np.float32]:
    """(2, side, side) rows and columns in radii from the centre."""
    return (np.mgrid[0:_GRID, 0:_GRID].astype(np.float32) + 0.5) * (2 * _REACH / _GRID) - _REACH


@cache
def _bank() -> _Bank:
    down, across = _grid()
    step = 2 * _REACH / _GRID
    pictures, shapes, angles = [], [], []
    for name in SHAPES:
        full = 2 * np.pi / TURNS[name] if TURNS[name] else 0.0
        for angle in np.arange(0.0, max(full, 1e-6), np.deg2rad(_STEP_DEG)):
            cosine, sine = np.cos(angle), np.sin(angle)
            turned = (across * cosine + down * sine, down * cosine - across * sine)
            distance = signed_distance(name, *turned, 1.0)
            pictures.append(np.clip(0.5 - distance / step, 0.0, 1.0).ravel())
            shapes.append(name)
            angles.append(angle)
    return _Bank(np.stack(pictures).astype(np.float64), np.array(shapes), np.array(angles))
