"""Settings halfway between one that held quality and one that did not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sol.search.scale import value_at
from sol.space import Float, Int, Knob, Ranked, Space, is_ordered


def has_ordered_knobs(space: Space) -> bool:
    """Whether any knob has a bolder direction: without one there is nothing to bisect."""
    return any(is_ordered(knob) for knob in space.knobs.values())


def halfway(space: Space, held: Mapping[str, Any], failed: Mapping[str, Any]) -> dict[str, Any]:
    """The middle of two settings in every ordered knob; the others as in `held`."""
    return {
        name: _middle(knob, held[name], failed[name]) if is_ordered(knob) else held[name]
        for name, knob in space.knobs.items()
    }


def gentlest(space: Space, like: Mapping[str, Any]) -> dict[str, Any]:
    """The least bold setting there is; unordered knobs as in `like`."""
    return {
        name: value_at(knob, 0.0) if is_ordered(knob) else like[name]
        for name, knob in space.knobs.items()
    }


def _middle(knob: Knob, a: Any, b: Any) -> Any:
    if isinstance(knob, Ranked):
        return knob.options[(knob.options.index(a) + knob.options.index(b)) // 2]
    if isinstance(knob, Int):
        return (a + b) // 2
    if isinstance(knob, Float) and knob.log:
        return math.sqrt(a * b)
    return (a + b) / 2
