"""Procedural captioned clips: the pocket model's endless training data."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sol.models.pocket.scenes import (
    BACKGROUNDS,
    COLOURS,
    DIRECTIONS,
    SIZES,
    Scene,
    SceneObject,
    describe,
    sample_scene,
)
from sol.models.pocket.workload import HEIGHT, NUM_FRAMES, WIDTH

Array = NDArray[np.float32]

_TRAVEL_PX = (16.0, 26.0)
_TIPS = {"triangle": 3, "square": 4, "star": 5}
_STAR_INNER_RATIO = 0.45
_REACH = {"circle": 1.0, "square": 1.25, "triangle": 1.4, "star": 1.4}
"""Distance from the centre to a tip, as a multiple of the nominal radius."""


@dataclass(frozen=True)
class Clip:
    """One rendered scene.

    Attributes:
        frames: (frames, height, width, 3), RGB in [0, 1].
        caption: the scene in plain English.
        scene: the attributes that the frames show and the caption names.
    """

    frames: Array
    caption: str
    scene: Scene


def sample_clip(rng: np.random.Generator) -> Clip:
    """Draws a scene, a caption for it, and a rendering of it; all randomness comes from `rng`."""
    scene = sample_scene(rng)
    return Clip(frames=render(scene, rng), caption=describe(scene, rng), scene=scene)


def render(scene: Scene, rng: np.random.Generator) -> Array:
    """Renders a scene with anti-aliased edges; positions and speeds are drawn.

    Returns:
        (frames, height, width, 3), RGB in [0, 1].
    """
    frames = np.empty((NUM_FRAMES, HEIGHT, WIDTH, 3), dtype=np.float32)
    frames[:] = np.asarray(BACKGROUNDS[scene.background], dtype=np.float32)
    for item in scene.objects:
        _paint(frames, item, _draw_path(item, rng))
    return frames


def _draw_path(item: SceneObject, rng: np.random.Generator) -> Array:
    """Draws a straight path at constant speed that stays inside the picture.

    Returns:
        (frames, 2), the (x, y) of the centre in pixels.
    """
    travel = np.asarray(DIRECTIONS[item.direction]) * rng.uniform(*_TRAVEL_PX)
    room = SIZES[item.size] * _REACH[item.shape] + np.abs(travel) / 2
    extent = np.array([WIDTH, HEIGHT], dtype=np.float64)
    margin = np.minimum(room, extent / 2)
    middle = rng.uniform(margin, extent - margin)
    progress = np.linspace(-0.5, 0.5, NUM_FRAMES)[:, None]
    return np.asarray(middle + progress * travel, dtype=np.float32)


def _paint(frames: Array, item: SceneObject, path: Array) -> None:
    grid_y, grid_x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32) + 0.5
    x = grid_x - path[:, 0, None, None]
    y = grid_y - path[:, 1, None, None]
    distance = _signed_distance(item.shape, x, y, SIZES[item.size])
    coverage = np.clip(0.5 - distance, 0.0, 1.0)[..., None]
    colour = np.asarray(COLOURS[item.colour], dtype=np.float32)
    frames += coverage * (colour - frames)


def _signed_distance(shape: str, x: Array, y: Array, radius: float) -> Array:
    """Distance in pixels to the outline near it, negative inside.

    A shape of n tips is one edge, mirrored and turned n times: the angle is folded into half a
    sector, where the edge runs from the tip to the inner corner.
    """
    rho = np.hypot(x, y)
    reach = radius * _REACH[shape]
    if shape == "circle":
        return rho - np.float32(reach)
    tips = _TIPS[shape]
    half_sector = np.pi / tips
    from_top = np.arctan2(x, -y) + (half_sector if shape == "square" else 0.0)
    folded = np.abs((from_top + half_sector) % (2 * half_sector) - half_sector)
    inner = reach * (_STAR_INNER_RATIO if shape == "star" else np.cos(half_sector))
    edge = np.array([inner * np.sin(half_sector), inner * np.cos(half_sector) - reach])
    normal = np.array([-edge[1], edge[0]]) / np.hypot(*edge)
    distance = rho * np.sin(folded) * normal[0] + (rho * np.cos(folded) - reach) * normal[1]
    return np.asarray(distance, dtype=np.float32)
