"""Scenes in plain English, worded in many ways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sol.models.pocket.data.scenes import (
    COLOURS,
    DIRECTIONS,
    HUES,
    SHADES,
    SHAPES,
    SIZES,
    TEXTURES,
    Background,
    Scene,
    SceneObject,
)

_MOVING_VERBS = ("moves", "drifts", "slides", "glides")
_OTHER_MOTIONS = {
    "still": ("stays still", "rests"),
    "circling": ("circles around", "moves in a circle"),
    "bouncing": ("bounces", "hops"),
    "growing": ("grows", "gets bigger"),
    "shrinking": ("shrinks", "gets smaller"),
    "rotating": ("spins", "rotates", "turns"),
}
_PREPOSITIONS = ("over", "on", "against")
_PAN_PHRASES = ("as the camera pans", "while the camera pans")
_BACKGROUND_FIRST = 0.2
_MEDIUM_SAID = 0.5

VOCABULARY: tuple[str, ...] = tuple(
    sorted(
        {
            word
            for phrase in (
                *COLOURS,
                *HUES,
                *SHADES,
                *TEXTURES,
                *SIZES,
                *SHAPES,
                *DIRECTIONS,
                *_MOVING_VERBS,
                *(phrase for phrases in _OTHER_MOTIONS.values() for phrase in phrases),
                *_PREPOSITIONS,
                *_PAN_PHRASES,
                "a an and background gradient",
            )
            for word in phrase.split()
        }
    )
)
"""Every word that a caption can hold, split at spaces."""


@dataclass(frozen=True)
class Phrase:
    """Some words of a caption, and what they are about.

    Attributes:
        about: The index of an object of the scene; None for the background.
    """

    words: str
    about: int | None


def describe(scene: Scene, rng: np.random.Generator) -> str:
    """Words a scene in one sentence."""
    return " ".join(phrase.words for phrase in word_scene(scene, rng))


def word_scene(scene: Scene, rng: np.random.Generator) -> tuple[Phrase, ...]:
    """Words a scene, phrase by phrase; the wording is drawn, and every attribute is named.

    Only "medium" may go unsaid, so that two different scenes never share a caption.
    """
    subject: list[Phrase] = []
    for index, item in enumerate(scene.objects):
        joint = [Phrase("and", None)] if index else []
        subject += [*joint, Phrase(_describe_object(item, rng), index)]
    ground = _describe_background(scene.background)
    pans = scene.background.pan != "none"
    pan = [Phrase(_describe_pan(scene.background.pan, rng), None)] if pans else []
    if rng.random() < _BACKGROUND_FIRST:
        return (Phrase(f"on {ground}", None), *subject, *pan)
    return (*subject, Phrase(f"{_choose(rng, _PREPOSITIONS)} {ground}", None), *pan)


def _describe_object(item: SceneObject, rng: np.random.Generator) -> str:
    says_size = item.size != "medium" or rng.random() < _MEDIUM_SAID
    words = [item.size, item.colour, item.shape] if says_size else [item.colour, item.shape]
    article = "an" if words[0][0] in "aeiou" else "a"
    return " ".join([article, *words, _describe_motion(item.motion, rng)])


def _describe_motion(motion: str, rng: np.random.Generator) -> str:
    if motion in _OTHER_MOTIONS:
        return _choose(rng, _OTHER_MOTIONS[motion])
    joined = _choose(rng, (motion, motion.replace(" ", " and ")))
    return f"{_choose(rng, _MOVING_VERBS)} {joined}"


def _describe_background(background: Background) -> str:
    if background.style == "gradient":
        return f"a {background.hue} gradient"
    style = f"{background.style} " if background.style in TEXTURES else ""
    return f"a {style}{background.shade} {background.hue} background"


def _describe_pan(pan: str, rng: np.random.Generator) -> str:
    return f"{_choose(rng, _PAN_PHRASES)} {pan}"


def _choose(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]
