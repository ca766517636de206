"""Prompts to tune on and, disjoint from them, prompts to judge on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from sol.errors import SolError, UnknownNameError
from sol.models.pocket import prompts as pocket

# For models of natural video: subjects, motion, texture and camera vary from line to line.
_GENERAL = (
    "a golden retriever runs along a beach at sunrise, waves behind it",
    "close-up of rain falling into a puddle, ripples crossing, slow motion",
    "a cyclist rides through a narrow street of red brick houses",
    "time-lapse of clouds moving over a mountain ridge covered in snow",
    "a chef tosses vegetables in a pan over a high flame",
    "two children fly a blue kite on a green hill, camera pans right",
    "a steam train crosses a stone bridge in autumn",
    "macro shot of a bee landing on a lavender flower",
    "an astronaut walks over grey dust, the earth above the horizon",
    "a woman in a yellow coat walks under neon signs at night, wet asphalt",
    "a sailing boat heels in strong wind, spray over the bow",
    "hands shape a clay bowl on a turning potter's wheel",
    "a herd of horses gallops through shallow water, backlit",
    "a robot arm places small cubes into a wooden tray",
    "drone flight over a river delta with many branching channels",
    "a candle is blown out, smoke curls upwards against black",
    "a skateboarder jumps down a flight of stairs, low camera",
    "jellyfish drift through dark water, glowing softly",
    "a street musician plays the violin, people pass behind",
    "leaves of a birch tree shimmer in the wind, sunlight through them",
    "an old man reads a newspaper in a cafe, steam rises from a cup",
    "a red sports car drifts around a bend of a coastal road",
    "dough rises in a glass bowl, time-lapse",
    "a flock of starlings folds and turns over a field at dusk",
    "a cat watches snow fall from a window sill",
    "paper boats float down a stream between mossy stones",
    "a crane lifts a steel beam at a construction site, zoom out",
    "fireworks burst over a harbour and mirror in the water",
    "a dancer in white spins on a bare stage, fabric follows",
    "a tractor ploughs a brown field, gulls behind it",
    "lava flows slowly into the sea, steam rises",
    "a tiger walks through tall grass towards the camera",
)

_SETS: Mapping[str, tuple[Callable[[int], list[str]], Callable[[int], list[str]]]] = (
    MappingProxyType(
        {
            "pocket": (pocket.calibration_prompts, pocket.held_out_prompts),
            "general": (lambda n: _take(_GENERAL[0::2], n), lambda n: _take(_GENERAL[1::2], n)),
        }
    )
)


def calibration_prompts(name: str, n: int) -> list[str]:
    """`n` prompts of the set `name` that a search may see."""
    return _get_set(name)[0](n)


def held_out_prompts(name: str, n: int) -> list[str]:
    """`n` prompts of the set `name` for the gate alone."""
    return _get_set(name)[1](n)


def _get_set(name: str) -> tuple[Callable[[int], list[str]], Callable[[int], list[str]]]:
    if name not in _SETS:
        raise UnknownNameError("prompt set", name, _SETS)
    return _SETS[name]


def _take(prompts: tuple[str, ...], n: int) -> list[str]:
    if n > len(prompts):
        raise SolError(
            f"This prompt set has {len(prompts)} prompts, {n} were asked for: ask for fewer."
        )
    return list(prompts[:n])
