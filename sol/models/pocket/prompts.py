"""Two fixed, disjoint lists of captions: one to tune on, one to judge on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from sol.models.pocket.data.captions import describe
from sol.models.pocket.data.scenes import Scene, is_held_out, sample_scene

_SCENE_SEED = 20_241
_WORDING_SEED = 7


def calibration_prompts(n: int) -> list[str]:
    """The first `n` captions of the list that techniques may be calibrated on."""
    return _captions(calibration_scenes(n))


def held_out_prompts(n: int) -> list[str]:
    """The first `n` captions of scenes that neither training nor calibration shows."""
    return _captions(held_out_scenes(n))


def calibration_scenes(n: int) -> list[Scene]:
    """The scenes that `calibration_prompts(n)` describes, in the same order."""
    return _take(n, held_out=False)


def held_out_scenes(n: int) -> list[Scene]:
    """The scenes that `held_out_prompts(n)` describes, in the same order."""
    return _take(n, held_out=True)


def _take(n: int, *, held_out: bool) -> list[Scene]:
    if n < 0:
        raise ValueError(f"n counts prompts and cannot be negative but is {n}.")
    return list(islice((s for s in _all_scenes() if is_held_out(s) == held_out), n))


def _all_scenes() -> Iterator[Scene]:
    rng = np.random.default_rng(_SCENE_SEED)
    seen: set[Scene] = set()
    while True:
        scene = sample_scene(rng)
        if scene not in seen:
            seen.add(scene)
            yield scene


def _captions(scenes: list[Scene]) -> list[str]:
    rng = np.random.default_rng(_WORDING_SEED)
    return [describe(scene, rng) for scene in scenes]
