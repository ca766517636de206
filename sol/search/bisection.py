"""Settings halfway between one that held quality and one that did not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sol.space import Choice, Float, Int, Knob, Space


def has_ordered_knobs(space: Space) -> bool:
    """Whether any knob has a bolder direction: without one there is nothing to bisect."""
    return any(_is_ordered(knob) for knob in space.knobs.values())


def halfway(space: Space, held: Mapping[str, Any], failed: Mapping[str, Any]) -> dict[str, Any]:
    """The middle of two settings in every ordered knob; the others as in `held`."""
    return {
        name: _middle(knob, held[name], failed[name]) if _is_ordered(knob) else held[name]
        for name, knob in space.knobs.items()
    }


def gentlest(space: Space, like: Mapping[str, Any]) -> dict[str, Any]:
    """The least bold setting there is; unordered knobs as in `like`."""
    return {name: _gentle_end(knob, like[name]) for name, knob in space.knobs.items()}


def _is_ordered(knob: Knob) -> bool:
    return not isinstance(knob, Choice) and knob.bolder is not None


def _gentle_end(knob: Knob, value: Any) -> Any:
    if isinstance(knob, Choice) or knob.bolder is None:
        return value
    return knob.low if knob.bolder == "up" else knob.high


def _middle(knob: Knob, a: Any, b: Any) -> Any:
    if isinstance(knob, Int):
        return (a + b) // 2
    if isinstance(knob, Float) and knob.log:
        return math.sqrt(a * b)
    return (a + b) / 2
