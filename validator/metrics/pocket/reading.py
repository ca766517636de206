"""Reads a whole clip: its objects with their colour, shape, size, place and motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sol.measure.fidelity import Frames
from sol.models.pocket.data.scenes import SIZES
from sol.validator.metrics.pocket.blobs import Blob, find_blobs
from sol.validator.metrics.pocket.motion import read_motion
from sol.validator.metrics.pocket.shape import read_shape


@dataclass(frozen=True)
class ObjectReading:
    """One object as it appears.

    Attributes:
        shape: A name in `scenes.SHAPES`.
        colour: A key of `scenes.COLOURS`.
        size: A key of `scenes.SIZES`, by the mean area.
        motion: A name in `scenes.MOTIONS`.
        place: Mean (x, y) of the centre, in fractions of the picture's side.
        fit: How well the outline matches its shape, in [0, 1].
    """

    shape: str
    colour: str
    size: str
    motion: str
    place: tuple[float, float]
    fit: float


@dataclass(frozen=True)
class Reading:
    """What a clip shows.

    Attributes:
        count: Objects in the median frame; two of one colour count as two.
        objects: One for each colour that is seen in most frames, largest first.
    """

    count: int
    objects: tuple[ObjectReading, ...]


def read_clip(frames: Frames) -> Reading:
    """Reads the objects of a clip; the background is not looked at.

    Args:
        frames: (frames, height, width, 3), RGB in [0, 1].
    """
    found = [find_blobs(frame) for frame in np.clip(frames, 0.0, 1.0)]
    colours = sorted({blob.colour for blobs in found for blob in blobs})
    tracks = [_follow(colour, found) for colour in colours]
    kept = [track for track in tracks if 2 * len(track) > len(frames)]
    kept.sort(key=lambda track: -float(np.mean([blob.area for blob in track])))
    count = int(np.median([len(blobs) for blobs in found]))
    return Reading(count, tuple(_read_object(track, frames.shape[1]) for track in kept))


def _follow(colour: str, found: Sequence[Sequence[Blob]]) -> list[Blob]:
    """The largest blob of a colour in each frame that has one."""
    own = [[blob for blob in blobs if blob.colour == colour] for blobs in found]
    return [max(blobs, key=lambda blob: blob.area) for blobs in own if blobs]


def _read_object(track: Sequence[Blob], side: int) -> ObjectReading:
    centre = np.array([blob.centre for blob in track]) / side
    radius = np.sqrt([blob.area / np.pi for blob in track]) / side
    shape = read_shape(track)
    mean = float(radius.mean())
    x, y = centre.mean(axis=0)
    return ObjectReading(
        shape=shape.name,
        colour=track[0].colour,
        size=min(SIZES, key=lambda name: abs(np.log(mean / SIZES[name]))),
        motion=read_motion(centre, radius, shape.turned_rad),
        place=(float(x), float(y)),
        fit=shape.fit,
    )
