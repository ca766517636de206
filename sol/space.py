"""Search spaces as plain data: what an agent may choose, without knowing what it means.

A knob carries its kind, so that a space that was written to a file can be read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any, Literal

Direction = Literal["up", "down"]


@dataclass(frozen=True)
class Float:
    """A real knob in [low, high]. `bolder` says which way is faster and riskier, if one is."""

    low: float
    high: float
    log: bool = False
    bolder: Direction | None = None
    kind: Literal["float"] = field(default="float", repr=False, kw_only=True)


@dataclass(frozen=True)
class Int:
    """An integer knob in [low, high], both included."""

    low: int
    high: int
    bolder: Direction | None = None
    kind: Literal["int"] = field(default="int", repr=False, kw_only=True)


@dataclass(frozen=True)
class Choice:
    """A knob with a few values that have no order."""

    options: tuple[str | int | float | bool, ...]
    kind: Literal["choice"] = field(default="choice", repr=False, kw_only=True)


@dataclass(frozen=True)
class Ranked:
    """A knob whose values stand in order, from the gentlest to the boldest."""

    options: tuple[str | int | float, ...]
    kind: Literal["ranked"] = field(default="ranked", repr=False, kw_only=True)


Knob = Float | Int | Choice | Ranked


@dataclass(frozen=True)
class Space:
    """The knobs of one technique on one target.

    Attributes:
        knobs: Config keys to their ranges.
        first: Settings worth trying before any sampling, published ones above all.
        fixed: Settings that every config of this space has: calibrated tables above all.
        follows: Settings that follow from the value of a knob: {knob: {value: settings}}.
    """

    knobs: Mapping[str, Knob] = field(default_factory=dict)
    first: tuple[Mapping[str, Any], ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    follows: Mapping[str, Mapping[Any, Mapping[str, Any]]] = field(default_factory=dict)

    def complete(self, knobs: Mapping[str, Any]) -> dict[str, Any]:
        """The whole config for a choice of knobs."""
        return {**self.fixed, **self.following(knobs), **knobs}

    def following(self, knobs: Mapping[str, Any]) -> dict[str, Any]:
        """The settings that follow from a choice of knobs."""
        settings: dict[str, Any] = {}
        for knob, by_value in self.follows.items():
            settings |= by_value.get(knobs[knob], {})
        return settings


def list_settings(space: Space, most: int) -> tuple[dict[str, Any], ...] | None:
    """Every setting of a space, or None where there are more than `most`, or no end of them."""
    values = [_values_of(knob) for knob in space.knobs.values()]
    if any(options is None for options in values):
        return None
    counted = [options for options in values if options is not None]
    if prod(map(len, counted)) > most:
        return None
    return tuple(
        space.complete(dict(zip(space.knobs, chosen, strict=True))) for chosen in product(*counted)
    )


def is_ordered(knob: Knob) -> bool:
    """Whether the knob has a bolder direction."""
    return isinstance(knob, Ranked) or (not isinstance(knob, Choice) and knob.bolder is not None)


def is_at_least_as_bold(space: Space, a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether setting `a` is as bold as `b` in every ordered knob and equal in the others.

    What failed on quality at `b` fails at every such `a` as well.
    """
    return all(_as_bold(knob, a[name], b[name]) for name, knob in space.knobs.items())


def _values_of(knob: Knob) -> Sequence[Any] | None:
    if isinstance(knob, Float):
        return None
    return range(knob.low, knob.high + 1) if isinstance(knob, Int) else knob.options


def _as_bold(knob: Knob, a: Any, b: Any) -> bool:
    if isinstance(knob, Ranked):
        return knob.options.index(a) >= knob.options.index(b)
    if isinstance(knob, Choice) or knob.bolder is None:
        return bool(a == b)
    return bool(a >= b) if knob.bolder == "up" else bool(a <= b)
