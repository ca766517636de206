"""Fixed lists of captions in disjoint parts: to tune on, to screen with, to confirm with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import astuple
from itertools import islice, tee
from typing import Literal

import numpy as np

from sol.models.pocket.data.captions import describe
from sol.models.pocket.data.scenes import TEXTURES, Scene, is_held_out, sample_scene
from sol.models.strata import STRATA, Prompt, Stratum, check_count, check_stratum, round_robin

_Part = Literal["screening", "confirmation", "extra"]

_SCENE_SEED = 20_241
_WORDING_SEED = 7
_PARTS: tuple[_Part, ...] = ("confirmation", "confirmation", "screening", "extra")
"""Part of a held-out scene by its hash: every second one is for confirmation."""
_DEMANDING_MOTIONS = ("circling", "bouncing", "rotating", "growing", "shrinking")


def calibration_prompts(n: int) -> list[str]:
    """The first `n` captions of the list that techniques may be calibrated on."""
    return _captions(calibration_scenes(n))


def held_out_prompts(n: int) -> list[str]:
    """The first `n` captions of scenes that neither training nor calibration shows.

    They are of every kind, as drawn, and show the model itself; a gate has the parts below.
    """
    return _captions(held_out_scenes(n))


def screening_prompts(n: int) -> list[Prompt]:
    """The first `n` captions of the gate's first look, one of each stratum in turn."""
    return [_prompt_for(scene) for scene in screening_scenes(n)]


def confirmation_prompts(n: int) -> list[Prompt]:
    """The first `n` captions that only a confirmation uses, one of each stratum in turn."""
    return [_prompt_for(scene) for scene in confirmation_scenes(n)]


def extra_prompts(stratum: str, n: int) -> list[Prompt]:
    """The first `n` held-out captions of one stratum that no confirmation uses.

    Raises:
        UnknownNameError: An unknown stratum.
    """
    return [_prompt_for(scene) for scene in extra_scenes(stratum, n)]


def calibration_scenes(n: int) -> list[Scene]:
    """The scenes that `calibration_prompts(n)` describes, in the same order."""
    return _take((s for s in _all_scenes() if not is_held_out(s)), n)


def held_out_scenes(n: int) -> list[Scene]:
    """The scenes that `held_out_prompts(n)` describes, in the same order."""
    return _take((s for s in _all_scenes() if is_held_out(s)), n)


def screening_scenes(n: int) -> list[Scene]:
    """The scenes that `screening_prompts(n)` describes, in the same order."""
    return _take(_in_turn("screening"), n)


def confirmation_scenes(n: int) -> list[Scene]:
    """The scenes that `confirmation_prompts(n)` describes, in the same order."""
    return _take(_in_turn("confirmation"), n)


def extra_scenes(stratum: str, n: int) -> list[Scene]:
    """The scenes that `extra_prompts(stratum, n)` describes, in the same order.

    Raises:
        UnknownNameError: An unknown stratum.
    """
    check_stratum(stratum)
    return _take(_of_stratum(_scenes_of("extra"), stratum), n)


def find_stratum(scene: Scene) -> Stratum | None:
    """The stratum of a scene, by the first rule that fits; None for what is hard in no way.

    Two objects are compositional. One that circles, bounces, turns, grows or shrinks is motion,
    over any background. Any other single object over stripes, checks or dots is texture.
    """
    if len(scene.objects) > 1:
        return "compositional"
    if scene.objects[0].motion in _DEMANDING_MOTIONS:
        return "motion"
    return "texture" if scene.background.style in TEXTURES else None


def _take(scenes: Iterator[Scene], n: int) -> list[Scene]:
    check_count(n)
    return list(islice(scenes, n))


def _in_turn(part: _Part) -> Iterator[Scene]:
    copies = tee(_scenes_of(part), len(STRATA))
    return round_robin(map(_of_stratum, copies, STRATA))


def _of_stratum(scenes: Iterable[Scene], stratum: str) -> Iterator[Scene]:
    return (scene for scene in scenes if find_stratum(scene) == stratum)


def _scenes_of(part: _Part) -> Iterator[Scene]:
    for scene in _all_scenes():
        if is_held_out(scene) and _PARTS[_hash_of("part", scene) % len(_PARTS)] == part:
            yield scene


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


def _prompt_for(scene: Scene) -> Prompt:
    stratum = find_stratum(scene)
    assert stratum is not None
    # Drawn per scene: the caption does not depend on what else is asked for.
    return Prompt(describe(scene, np.random.default_rng(_hash_of("wording", scene))), stratum)


def _hash_of(purpose: str, scene: Scene) -> int:
    digest = hashlib.sha256(repr((purpose, astuple(scene))).encode()).digest()
    return int.from_bytes(digest[:8], "big")
