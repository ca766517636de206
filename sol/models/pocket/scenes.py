"""What a clip shows and how it is said: scenes, their vocabulary, and their captions."""

from dataclasses import dataclass

import numpy as np

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.90, 0.10, 0.10),
    "orange": (1.00, 0.55, 0.05),
    "yellow": (0.98, 0.90, 0.10),
    "green": (0.10, 0.70, 0.20),
    "cyan": (0.10, 0.85, 0.90),
    "blue": (0.15, 0.25, 0.95),
    "purple": (0.55, 0.15, 0.75),
    "pink": (1.00, 0.50, 0.75),
}
"""RGB of each object colour, in [0, 1]."""

BACKGROUNDS: dict[str, tuple[float, float, float]] = {
    "black": (0.03, 0.03, 0.03),
    "dark gray": (0.22, 0.22, 0.22),
    "dark blue": (0.05, 0.06, 0.25),
    "light gray": (0.72, 0.72, 0.72),
    "cream": (0.93, 0.88, 0.75),
    "white": (0.97, 0.97, 0.97),
}
"""RGB of each plain background, in [0, 1]."""

SIZES: dict[str, float] = {"small": 7.0, "medium": 10.0, "large": 13.0}
"""Radius in pixels of the disc whose area the object roughly covers."""

SHAPES = ("circle", "square", "triangle", "star")

_DIAGONAL = 0.5**0.5
DIRECTIONS: dict[str, tuple[float, float]] = {
    "still": (0.0, 0.0),
    "right": (1.0, 0.0),
    "left": (-1.0, 0.0),
    "down": (0.0, 1.0),
    "up": (0.0, -1.0),
    "down right": (_DIAGONAL, _DIAGONAL),
    "up right": (_DIAGONAL, -_DIAGONAL),
    "down left": (-_DIAGONAL, _DIAGONAL),
    "up left": (-_DIAGONAL, -_DIAGONAL),
}
"""Unit (x, y) vector of each motion in image coordinates: x to the right, y down."""

_MOVING_VERBS = ("moves", "drifts", "slides", "glides")
_STILL_PHRASES = ("stays still", "rests")
_PREPOSITIONS = ("over", "on", "against")
_BACKGROUND_FIRST = 0.2
_MEDIUM_SAID = 0.5

VOCABULARY: tuple[str, ...] = tuple(
    sorted(
        {
            word
            for phrase in (
                *COLOURS,
                *BACKGROUNDS,
                *SIZES,
                *SHAPES,
                *DIRECTIONS,
                *_MOVING_VERBS,
                *_STILL_PHRASES,
                *_PREPOSITIONS,
                "a an and the to background",
            )
            for word in phrase.split()
        }
    )
)
"""Every word that a caption can hold, split at spaces."""


@dataclass(frozen=True)
class SceneObject:
    """One coloured shape and the way it moves; every field is a key of a table above."""

    shape: str
    colour: str
    size: str
    direction: str


@dataclass(frozen=True)
class Scene:
    """The attributes of a clip: its objects, back to front, and its background."""

    objects: tuple[SceneObject, ...]
    background: str


def sample_scene(rng: np.random.Generator) -> Scene:
    """Draws a scene of one object, each attribute uniform and independent."""
    return Scene(
        objects=(
            SceneObject(
                shape=_choose(rng, SHAPES),
                colour=_choose(rng, tuple(COLOURS)),
                size=_choose(rng, tuple(SIZES)),
                direction=_choose(rng, tuple(DIRECTIONS)),
            ),
        ),
        background=_choose(rng, tuple(BACKGROUNDS)),
    )


def describe(scene: Scene, rng: np.random.Generator) -> str:
    """Words a scene in plain English; the wording is drawn, every attribute is always named.

    Only "medium" may go unsaid, so that two different scenes never share a caption.
    """
    subject = " and ".join(_describe_object(item, rng) for item in scene.objects)
    if rng.random() < _BACKGROUND_FIRST:
        return f"on a {scene.background} background {subject}"
    return f"{subject} {_choose(rng, _PREPOSITIONS)} a {scene.background} background"


def _describe_object(item: SceneObject, rng: np.random.Generator) -> str:
    says_size = item.size != "medium" or rng.random() < _MEDIUM_SAID
    words = [item.size, item.colour, item.shape] if says_size else [item.colour, item.shape]
    article = "an" if words[0][0] in "aeiou" else "a"
    return " ".join([article, *words, _describe_motion(item.direction, rng)])


def _describe_motion(direction: str, rng: np.random.Generator) -> str:
    if direction == "still":
        return _choose(rng, _STILL_PHRASES)
    verb = _choose(rng, _MOVING_VERBS)
    if " " not in direction:
        return f"{verb} {direction}"
    vertical, horizontal = direction.split()
    joined = _choose(rng, (f"{vertical} and {horizontal}", f"{vertical} to the {horizontal}"))
    return f"{verb} {joined}"


def _choose(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]
