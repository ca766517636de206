"""What a clip shows: one or two moving shapes over a background, as plain attributes."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass

import numpy as np

RGB = tuple[float, float, float]

COLOURS: dict[str, RGB] = {
    "red": (0.88, 0.12, 0.12),
    "orange": (0.98, 0.52, 0.05),
    "yellow": (0.97, 0.90, 0.12),
    "green": (0.12, 0.68, 0.20),
    "cyan": (0.08, 0.82, 0.88),
    "blue": (0.12, 0.28, 0.95),
    "purple": (0.52, 0.12, 0.80),
    "pink": (1.00, 0.38, 0.72),
}
"""RGB of each object colour, in [0, 1]; all vivid: largest less smallest is 0.5 or more."""

HUES: dict[str, tuple[RGB, RGB]] = {
    "gray": ((0.25, 0.25, 0.25), (0.72, 0.72, 0.72)),
    "blue": ((0.12, 0.16, 0.28), (0.54, 0.62, 0.74)),
    "green": ((0.12, 0.22, 0.15), (0.52, 0.64, 0.54)),
    "brown": ((0.24, 0.18, 0.12), (0.68, 0.60, 0.50)),
    "purple": ((0.20, 0.13, 0.26), (0.62, 0.54, 0.70)),
}
"""The dark and the light RGB of each background hue; all muted, so that objects stand out."""

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")

SIZES: dict[str, float] = {"small": 0.115, "medium": 0.15, "large": 0.2}
"""Radius of the disc of the object's area, as a fraction of the picture's side.

A small object spans two latent positions: of smaller ones the autoencoder loses the outline.
"""

_DIAGONAL = 0.5**0.5
DIRECTIONS: dict[str, tuple[float, float]] = {
    "right": (1.0, 0.0),
    "left": (-1.0, 0.0),
    "down": (0.0, 1.0),
    "up": (0.0, -1.0),
    "down right": (_DIAGONAL, _DIAGONAL),
    "up right": (_DIAGONAL, -_DIAGONAL),
    "down left": (-_DIAGONAL, _DIAGONAL),
    "up left": (-_DIAGONAL, -_DIAGONAL),
}
"""Unit (x, y) vector of each straight motion in the picture: x to the right, y down."""

MOTIONS = (*DIRECTIONS, "still", "circling", "bouncing", "growing", "shrinking", "rotating")
"""Every motion, as seen in the picture: a camera pan moves the background alone."""

SHADES = ("dark", "light")
TEXTURES = ("striped", "checkered", "dotted")
STYLES = ("plain", "gradient", *TEXTURES)
PANS = ("none", "left", "right")

_ROUND = ("circle", "ring")
_SIZES_OF_TWO = (("small", "small"), ("small", "medium"), ("medium", "small"))
"""Two larger objects would not always find room."""
_TWO_OBJECTS = 0.3
_STYLE_ODDS = (0.4, 0.24, 0.12, 0.12, 0.12)
_PANNED = 0.3
_HELD_OUT_ONE_IN = 8


@dataclass(frozen=True)
class SceneObject:
    """One coloured shape and the way it moves; every field is a name from a table above."""

    shape: str
    colour: str
    size: str
    motion: str


@dataclass(frozen=True)
class Background:
    """What is behind the objects.

    Attributes:
        style: One of `STYLES`.
        hue: A key of `HUES`.
        shade: One of `SHADES`; a gradient runs from dark at the top to light, and has "".
        pan: Where the camera turns, one of `PANS`; only a texture shows it.
    """

    style: str
    hue: str
    shade: str
    pan: str


@dataclass(frozen=True)
class Scene:
    """The attributes of a clip: one object, or two of different colours that never touch."""

    objects: tuple[SceneObject, ...]
    background: Background


def sample_scene(rng: np.random.Generator) -> Scene:
    """Draws a scene; 3 in 10 have two objects, and 3 in 10 textures pan."""
    if rng.random() >= _TWO_OBJECTS:
        colour = _choose(rng, tuple(COLOURS))
        return Scene((_sample_object(rng, colour, tuple(SIZES)),), _sample_background(rng))
    colours = rng.permutation(list(COLOURS))[:2]
    sizes = _SIZES_OF_TWO[int(rng.integers(len(_SIZES_OF_TWO)))]
    objects = tuple(
        _sample_object(rng, str(colour), (size,))
        for colour, size in zip(colours, sizes, strict=True)
    )
    return Scene(objects, _sample_background(rng))


def sample_training_scene(rng: np.random.Generator) -> Scene:
    """Draws a scene that training may see."""
    while is_held_out(scene := sample_scene(rng)):
        pass
    return scene


def is_held_out(scene: Scene) -> bool:
    """Whether this combination of attributes, one in eight, is kept from all training."""
    digest = hashlib.sha256(repr(astuple(scene)).encode()).digest()
    return int.from_bytes(digest[:8], "big") % _HELD_OUT_ONE_IN == 0


def _sample_object(rng: np.random.Generator, colour: str, sizes: tuple[str, ...]) -> SceneObject:
    shape = _choose(rng, SHAPES)
    seen = tuple(name for name in MOTIONS if shape not in _ROUND or name != "rotating")
    return SceneObject(shape, colour, _choose(rng, sizes), _choose(rng, seen))


def _sample_background(rng: np.random.Generator) -> Background:
    style = str(rng.choice(STYLES, p=_STYLE_ODDS))
    shade = "" if style == "gradient" else _choose(rng, SHADES)
    pans = style in TEXTURES and rng.random() < _PANNED
    return Background(
        style, _choose(rng, tuple(HUES)), shade, _choose(rng, PANS[1:]) if pans else PANS[0]
    )


def _choose(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]
