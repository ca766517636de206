"""Two fixed, disjoint lists of captions: one to tune on, one to check on."""

from itertools import product

import numpy as np

from sol.models.pocket.scenes import (
    BACKGROUNDS,
    COLOURS,
    DIRECTIONS,
    SHAPES,
    SIZES,
    Scene,
    SceneObject,
    describe,
)

_ORDER_SEED = 20_240
_WORDING_SEED = 7


def calibration_prompts(n: int) -> list[str]:
    """The first `n` captions of the list that techniques may be calibrated on."""
    return _captions(calibration_scenes(n))


def held_out_prompts(n: int) -> list[str]:
    """The first `n` captions of scenes that no calibration prompt shows."""
    return _captions(held_out_scenes(n))


def calibration_scenes(n: int) -> list[Scene]:
    """The scenes that `calibration_prompts(n)` describes, in the same order."""
    return _first(_all_scenes()[0::2], n)


def held_out_scenes(n: int) -> list[Scene]:
    """The scenes that `held_out_prompts(n)` describes, in the same order."""
    return _first(_all_scenes()[1::2], n)


def _all_scenes() -> list[Scene]:
    scenes = [
        Scene(objects=(SceneObject(shape, colour, size, direction),), background=background)
        for shape, colour, size, direction, background in product(
            SHAPES, COLOURS, SIZES, DIRECTIONS, BACKGROUNDS
        )
    ]
    order = np.random.default_rng(_ORDER_SEED).permutation(len(scenes))
    return [scenes[index] for index in order]


def _captions(scenes: list[Scene]) -> list[str]:
    rng = np.random.default_rng(_WORDING_SEED)
    return [describe(scene, rng) for scene in scenes]


def _first(scenes: list[Scene], n: int) -> list[Scene]:
    if not 0 <= n <= len(scenes):
        raise ValueError(f"n must lie between 0 and {len(scenes)} but is {n}; ask for fewer.")
    return scenes[:n]
