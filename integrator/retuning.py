"""Neighbours of a setting in one knob.

What was right for a setting alone may be wrong among others (a cache's threshold in full precision
and quantised; Q&C, ICLR 2026): a stack is tuned again with the others in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sol.search.cliff import MARGIN
from sol.search.scale import coordinate_of, n_units, value_at
from sol.space import Knob, Space, is_ordered

_LONG = 2.5
"""Margins of the longer of the two steps in each direction."""


def neighbours(space: Space, config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Settings that differ from `config` in one ordered knob, by a margin or by more."""
    knobs = {name: config[name] for name in space.knobs}
    for name, knob in space.knobs.items():
        if is_ordered(knob):
            for value in _nearby(knob, config[name]):
                yield space.complete({**knobs, name: value})


def _nearby(knob: Knob, value: Any) -> list[Any]:
    units = n_units(knob)
    margin = MARGIN if units is None else 1 / max(units, 1)
    place = coordinate_of(knob, value)
    steps = (-_LONG * margin, -margin, margin, _LONG * margin)
    found = [value_at(knob, place + step) for step in steps]
    return [other for other in dict.fromkeys(found) if other != value]
