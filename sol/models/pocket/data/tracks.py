"""Where the objects of a scene are in every frame: drawn inside the picture and never touching."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sol.models.pocket.data.outlines import reach_of
from sol.models.pocket.data.scenes import DIRECTIONS, SIZES, Scene, SceneObject

Array = NDArray[np.float64]

_TRAVEL = (0.25, 0.40)
_CIRCLE_RADIUS = (0.10, 0.14)
_BOUNCE_HEIGHT = (0.20, 0.30)
_SCALE_CHANGE = 0.35
_SPIN_RAD = np.pi
_EDGE, _GAP = 0.01, 0.02
_CANDIDATES, _ROUNDS = 1024, 16
_VIGOUR_OF_TWO, _TIRING = 0.75, 0.96
"""Two objects travel less far than one, and less with every round that found them no room."""


@dataclass(frozen=True)
class Track:
    """The course of one object; lengths are fractions of the picture's side.

    Attributes:
        centre: (frames, 2), x to the right and y down.
        radius: (frames,), of the disc that has the object's area.
        angle: (frames,), clockwise in radians.
    """

    centre: Array
    radius: Array
    angle: Array


@dataclass(frozen=True)
class _Course:
    """A track whose place in the picture is still open: offsets from it, and the room it needs."""

    item: SceneObject
    offset: Array
    scale: Array
    angle: Array

    @property
    def reach(self) -> Array:
        return self.scale * reach_of(self.item.shape, SIZES[self.item.size])


def draw_tracks(scene: Scene, n_frames: int, rng: np.random.Generator) -> tuple[Track, ...]:
    """Draws one track per object, in the scene's order; how fast and where is random.

    Raises:
        ValueError: Objects for which no place was found.
    """
    vigour = 1.0 if len(scene.objects) == 1 else _VIGOUR_OF_TWO
    for n_rounds in range(_ROUNDS):
        extent = vigour * _TIRING**n_rounds
        courses = [_draw_course(item, n_frames, extent, rng) for item in scene.objects]
        places = np.stack([_draw_places(course, rng) for course in courses])
        fitting = np.nonzero(_clearance(courses, places) >= _GAP)[0]
        if len(fitting):
            chosen = places[:, fitting[0]]
            return tuple(_place(*pair) for pair in zip(courses, chosen, strict=True))
    raise ValueError(f"No room for {scene.objects} in one picture; use fewer or smaller objects.")


def _draw_course(
    item: SceneObject, n_frames: int, extent: float, rng: np.random.Generator
) -> _Course:
    time = np.linspace(0.0, 1.0, n_frames)
    rest = np.zeros((n_frames, 2))
    steady, upright = np.ones(n_frames), np.zeros(n_frames)
    if item.motion in DIRECTIONS:
        room = 1 - 2 * (reach_of(item.shape, SIZES[item.size]) + _EDGE)
        travel = min(extent * rng.uniform(*_TRAVEL), room)
        step = np.asarray(DIRECTIONS[item.motion]) * travel
        return _Course(item, (time - 0.5)[:, None] * step, steady, upright)
    if item.motion == "circling":
        phase = 2 * np.pi * (time + rng.random())
        circle = np.stack([np.cos(phase), np.sin(phase)], axis=1)
        radius = extent * rng.uniform(*_CIRCLE_RADIUS)
        return _Course(item, circle * radius, steady, upright)
    if item.motion == "bouncing":
        height = np.abs(np.cos(np.pi * time)) * (extent * rng.uniform(*_BOUNCE_HEIGHT))
        return _Course(item, np.stack([upright, -height], axis=1), steady, upright)
    if item.motion in ("growing", "shrinking"):
        change = extent * _SCALE_CHANGE * (2 * time - 1)
        scale = 1 + change if item.motion == "growing" else 1 - change
        return _Course(item, rest, scale, upright)
    return _Course(item, rest, steady, time * _SPIN_RAD if item.motion == "rotating" else upright)


def _draw_places(course: _Course, rng: np.random.Generator) -> Array:
    """Draws (candidates, 2) places at which the whole course stays inside the picture."""
    margin = course.reach[:, None] + _EDGE
    low = (margin - course.offset).max(axis=0)
    high = (1 - margin - course.offset).min(axis=0)
    middle = (low + high) / 2
    return rng.uniform(
        np.minimum(low, middle), np.maximum(high, middle), size=(_CANDIDATES, len(low))
    )


def _clearance(courses: list[_Course], places: Array) -> Array:
    """(candidates,) the least distance in any frame between two outlines' outer circles."""
    if len(courses) == 1:
        return np.full(places.shape[1], np.inf)
    first, second = courses
    apart = places[0] - places[1]
    between = apart[:, None, :] + (first.offset - second.offset)[None]
    free = np.hypot(between[..., 0], between[..., 1]) - (first.reach + second.reach)
    return np.asarray(free.min(axis=1))


def _place(course: _Course, place: Array) -> Track:
    return Track(
        centre=place + course.offset,
        radius=course.scale * SIZES[course.item.size],
        angle=course.angle,
    )
