"""What a reading is worth: against the scene of the prompt, or against another clip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from sol.measure.fidelity import Frames
from sol.models.pocket.data.scenes import Scene, SceneObject
from sol.validator.metrics.pocket.reading import ObjectReading, Reading, read_clip

_SAME_PLACE = 0.05
"""In fractions of the picture's side: 3.2 of 64 pixels."""


@dataclass(frozen=True)
class Hits:
    """Which attributes of a prompt a clip shows, in every object that the prompt names."""

    count: bool
    colour: bool
    shape: bool
    size: bool
    motion: bool


def find_hits(reading: Reading, scene: Scene) -> Hits:
    """Compares a reading with the prompt's scene; an attribute is right if all objects have it.

    An object that is missing has nothing right. The objects of the clip are assigned to those
    of the scene as fits best: by colour first, then by the other attributes.
    """
    wanted = scene.objects
    seen: list[ObjectReading | None] = [*reading.objects]
    seen += [None] * (len(wanted) - len(seen))
    best = max(permutations(seen, len(wanted)), key=lambda chosen: _likeness(chosen, wanted))
    right = [_compare(item, target) for item, target in zip(best, wanted, strict=True)]
    colour, shape, size, motion = (all(column) for column in zip(*right, strict=True))
    return Hits(reading.count == len(wanted), colour, shape, size, motion)


def pocket_fit(frames: Frames) -> float:
    """How well the outlines match some shape: the mean overlap over objects, 0 without any.

    Falls with blur and with a lack of steps, well before the shape is misread.

    Args:
        frames: (frames, height, width, 3), RGB in [0, 1].

    Returns:
        In [0, 1]; NaN if any pixel is.
    """
    if not np.isfinite(frames).all():
        return math.nan
    objects = read_clip(frames).objects
    return float(np.mean([item.fit for item in objects])) if objects else 0.0


def pocket_agreement(reference: Frames, other: Frames) -> float:
    """The share of what the reference shows that the other clip shows as well.

    Counted are the number of objects and, for each colour of the reference, its presence, shape,
    size, motion, and place within 5% of the side.

    Args:
        reference: (frames, height, width, 3), RGB in [0, 1].
        other: The same shape.

    Returns:
        In [0, 1], 1 for equal clips; NaN if any pixel is.
    """
    if not (np.isfinite(reference).all() and np.isfinite(other).all()):
        return math.nan
    first, second = read_clip(reference), read_clip(other)
    by_colour = {item.colour: item for item in second.objects}
    agreed = [first.count == second.count]
    for item in first.objects:
        agreed += _agree(item, by_colour.get(item.colour))
    return float(np.mean(agreed))


def _agree(item: ObjectReading, other: ObjectReading | None) -> list[bool]:
    if other is None:
        return [False] * 5
    apart = math.dist(item.place, other.place)
    same = [getattr(item, name) == getattr(other, name) for name in ("shape", "size", "motion")]
    return [True, *same, apart <= _SAME_PLACE]


def _compare(item: ObjectReading | None, target: SceneObject) -> tuple[bool, bool, bool, bool]:
    if item is None:
        return False, False, False, False
    return (
        item.colour == target.colour,
        item.shape == target.shape,
        item.size == target.size,
        item.motion == target.motion,
    )


def _likeness(
    items: Sequence[ObjectReading | None], targets: Sequence[SceneObject]
) -> tuple[int, int]:
    right = [_compare(item, target) for item, target in zip(items, targets, strict=True)]
    return sum(colour for colour, *_ in right), sum(map(sum, right))
