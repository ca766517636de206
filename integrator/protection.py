"""One schedule of protected steps for a whole stack.

The first steps lay out the video and the last ones finish it: caches, sparse attention, pruning
and quantization each leave some of them as they are. What one member leaves alone is of little use
where another does not, and protecting them twice over costs time: so all may share one number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sol.integrator.effects import Effect
from sol.space import Float, Int, Knob, Space
from sol.technique import End, StackItem, Technique

_FEWEST = 2
_ENDS: tuple[End, ...] = ("first", "last")

Find = Callable[[StackItem], Effect]
"""The effect of a setting, measured or estimated."""


def share_protection(
    members: Sequence[Effect],
    techniques: Mapping[str, Technique],
    spaces: Mapping[str, Space],
    find: Find,
) -> Iterator[tuple[Effect, ...]]:
    """The stack with one number of protected steps for all, where its members have several."""
    for end in _ENDS:
        knobs = [_find_knob(effect, end, techniques, spaces) for effect in members]
        counts = {effect.config[name] for effect, name in zip(members, knobs, strict=True) if name}
        if sum(name is not None for name in knobs) < _FEWEST or len(counts) < _FEWEST:
            continue
        for count in sorted(counts):
            yield tuple(
                _with(effect, name, count, spaces, find)
                for effect, name in zip(members, knobs, strict=True)
            )


def _find_knob(
    effect: Effect, end: End, techniques: Mapping[str, Technique], spaces: Mapping[str, Space]
) -> str | None:
    """The knob that counts the member's protected steps at an end, where it may be chosen."""
    protects, space = techniques[effect.technique].protects, spaces.get(effect.technique)
    if space is None:
        return None
    return next(
        (
            name
            for name, where in protects.items()
            if where == end and isinstance(space.knobs.get(name), Int)
        ),
        None,
    )


def _with(
    effect: Effect, name: str | None, count: int, spaces: Mapping[str, Space], find: Find
) -> Effect:
    if name is None or effect.config[name] == count:
        return effect
    space = spaces[effect.technique]
    chosen = {knob: effect.config[knob] for knob in space.knobs}
    config = space.complete({**chosen, name: _clip(space.knobs[name], count)})
    return find(StackItem(effect.technique, config))


def _clip(knob: Knob, count: int) -> Any:
    assert isinstance(knob, Int | Float)
    return min(max(count, knob.low), knob.high)
