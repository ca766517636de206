"""Where a setting stands on the scale of an ordered knob: 0 the gentlest end, 1 the boldest."""

from __future__ import annotations

import math
from typing import Any

from sol.space import Choice, Float, Int, Knob, Ranked

_SIGNIFICANT_DIGITS = 3


def coordinate_of(knob: Knob, value: Any) -> float:
    """The place of `value` in [0, 1]; logarithmic where the knob is, by rank where it is ranked.

    Raises:
        ValueError: The knob has no order.
    """
    if isinstance(knob, Ranked):
        return knob.options.index(value) / max(len(knob.options) - 1, 1)
    ordered = _require_ordered(knob)
    share = _share(ordered, value)
    return share if ordered.bolder == "up" else 1 - share


def value_at(knob: Knob, coordinate: float) -> Any:
    """The value at a place in [0, 1], what lies outside clipped; `coordinate_of` undone.

    Raises:
        ValueError: The knob has no order.
    """
    place = min(max(coordinate, 0.0), 1.0)
    if isinstance(knob, Ranked):
        return knob.options[round(place * (len(knob.options) - 1))]
    ordered = _require_ordered(knob)
    share = place if ordered.bolder == "up" else 1 - place
    if share in (0.0, 1.0):
        return ordered.high if share else ordered.low
    if isinstance(ordered, Int):
        return round(ordered.low + share * (ordered.high - ordered.low))
    if ordered.log:
        return rounded(ordered, ordered.low * (ordered.high / ordered.low) ** share)
    return rounded(ordered, ordered.low + share * (ordered.high - ordered.low))


def n_units(knob: Knob) -> int | None:
    """Units from one end to the other of a knob that moves in units; None for a real one."""
    if isinstance(knob, Ranked):
        return len(knob.options) - 1
    return knob.high - knob.low if isinstance(knob, Int) else None


def rounded(knob: Knob, value: Any) -> Any:
    """Three digits of a real knob: what a person can read, and finer than any measurement."""
    if not isinstance(knob, Float):
        return value
    short = float(f"{value:.{_SIGNIFICANT_DIGITS}g}")
    return min(max(short, knob.low), knob.high)


def _share(knob: Float | Int, value: float) -> float:
    if knob.high == knob.low:
        return 0.0
    if isinstance(knob, Float) and knob.log:
        return math.log(value / knob.low) / math.log(knob.high / knob.low)
    return (value - knob.low) / (knob.high - knob.low)


def _require_ordered(knob: Float | Int | Choice) -> Float | Int:
    if isinstance(knob, Choice) or knob.bolder is None:
        raise ValueError(f"{knob} has no order: only ordered knobs have a scale.")
    return knob
