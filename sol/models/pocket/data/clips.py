"""Procedural captioned clips: the pocket model's endless training data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sol.models.pocket.data.captions import describe
from sol.models.pocket.data.outlines import signed_distance
from sol.models.pocket.data.scenes import (
    COLOURS,
    HUES,
    SHADES,
    Background,
    Scene,
    SceneObject,
    sample_training_scene,
)
from sol.models.pocket.data.tracks import Track, draw_tracks
from sol.models.pocket.workload import SHORT, ClipShape

Array = NDArray[np.float32]

_PAN = 0.3
_TEXTURE_CONTRAST = 0.16
_STRIPES, _CHECKS, _DOTS = 4.0, 3.0, 4.0
_STEEPNESS = 2.5


@dataclass(frozen=True)
class Clip:
    """One rendered scene.

    Attributes:
        frames: (frames, height, width, 3), RGB in [0, 1].
        caption: The scene in plain English.
        scene: The attributes that the frames show and the caption names.
        tracks: Where each object is in every frame.
    """

    frames: Array
    caption: str
    scene: Scene
    tracks: tuple[Track, ...]


def sample_clip(rng: np.random.Generator, shape: ClipShape = SHORT) -> Clip:
    """Draws a clip that training may see; all randomness comes from `rng`."""
    return make_clip(sample_training_scene(rng), rng, shape)


def make_clip(scene: Scene, rng: np.random.Generator, shape: ClipShape = SHORT) -> Clip:
    """Draws a caption and a rendering of one scene."""
    tracks = draw_tracks(scene, shape.num_frames, rng)
    frames = _paint_background(scene.background, rng, shape)
    for item, track in zip(scene.objects, tracks, strict=True):
        _paint_object(frames, item, track)
    return Clip(frames, describe(scene, rng), scene, tracks)


def _paint_background(background: Background, rng: np.random.Generator, shape: ClipShape) -> Array:
    """(frames, height, width, 3); where a texture starts is random."""
    dark, light = (np.asarray(rgb, dtype=np.float32) for rgb in HUES[background.hue])
    y, x = _pixel_centres(shape)
    if background.style == "gradient":
        picture = dark + y[..., None] * (light - dark)
        return np.repeat(picture[None], shape.num_frames, axis=0)
    base = light if background.shade == SHADES[1] else dark
    shift = {"none": 0.0, "left": -_PAN, "right": _PAN}[background.pan]
    panned = x[None] + np.linspace(0.0, shift, shape.num_frames, dtype=np.float32)[:, None, None]
    start = rng.random(2).astype(np.float32)
    pattern = _pattern(background.style, panned + start[0], y[None] + start[1])
    return np.clip(base + _TEXTURE_CONTRAST * pattern[..., None], 0.0, 1.0)


def _pattern(style: str, x: Array, y: Array) -> Array:
    """A texture with soft edges, between about -0.5 and 0.5, broadcast over x and y."""
    if style == "striped":
        return _soften(np.sin(2 * np.pi * _STRIPES * x) + 0 * y)
    if style == "checkered":
        return _soften(np.sin(2 * np.pi * _CHECKS * x) * np.sin(2 * np.pi * _CHECKS * y))
    if style == "dotted":
        waves = np.cos(2 * np.pi * _DOTS * x) + np.cos(2 * np.pi * _DOTS * y)
        return _soften(waves - 0.8)
    return np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)


def _soften(wave: Array) -> Array:
    return np.asarray(0.5 * np.tanh(_STEEPNESS * wave), dtype=np.float32)


def _paint_object(frames: Array, item: SceneObject, track: Track) -> None:
    """Paints one object with edges anti-aliased over a pixel."""
    side = frames.shape[1]
    y, x = _pixel_centres(ClipShape(*frames.shape[:3]))
    x = x[None] - track.centre[:, 0, None, None].astype(np.float32)
    y = y[None] - track.centre[:, 1, None, None].astype(np.float32)
    cosine = np.cos(track.angle, dtype=np.float32)[:, None, None]
    sine = np.sin(track.angle, dtype=np.float32)[:, None, None]
    turned = (x * cosine + y * sine, y * cosine - x * sine)
    radius = track.radius[:, None, None].astype(np.float32)
    distance = signed_distance(item.shape, *turned, radius)
    coverage = np.clip(0.5 - distance * side, 0.0, 1.0)[..., None]
    frames += coverage * (np.asarray(COLOURS[item.colour], dtype=np.float32) - frames)


def _pixel_centres(shape: ClipShape) -> tuple[Array, Array]:
    """(height, width) rows and columns of the pixels' centres, in fractions of the side."""
    rows, columns = np.mgrid[0 : shape.height, 0 : shape.width].astype(np.float32) + 0.5
    return rows / shape.height, columns / shape.width
