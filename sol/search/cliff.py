"""Cliffs: how far a setting that held quality stands from one that failed.

Quality need not fall slowly: between two neighbouring settings it can collapse. What is bolder
than a failing setting is taken to fail as well, so a setting is as far from a failure as the knob
that still has the longest way to go; knobs in which it is already beyond do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sol.search.scale import coordinate_of, n_units, value_at
from sol.space import Knob, Space, is_at_least_as_bold, is_ordered

MARGIN = 0.05
"""Share of a real knob's range that a setting must keep from one that fails.

A published cliff is narrower: TeaCache's LPIPS goes from .013 to .316 between the thresholds .17
and .19 (vllm-omni#5840), a factor of 1.12. Where a threshold spans a factor of 50, a twentieth of
its logarithm is a factor of 1.22: a setting that far away stands before the whole drop. Five
halvings of the range reach it, which a search can pay for. Knobs that move in units keep one.
"""

# Places on a scale are quotients: one unit may read as a little more than one.
_TOLERANCE = 1e-9

Setting = Mapping[str, Any]


@dataclass(frozen=True)
class Edge:
    """The narrowest gap that was measured between a setting that held and one that failed.

    Attributes:
        margins: The gap in margins; at most 1 where the edge is known well enough.
        share: The gap as a share of the range of the knob with the longest way to go.
    """

    technique: str
    held: Setting
    failed: Setting
    margins: float
    share: float

    @property
    def is_closed(self) -> bool:
        """Whether no setting a margin away from both fits between them."""
        return self.margins <= 1 + _TOLERANCE

    @property
    def text(self) -> str:
        """For people: the knobs in which the two differ, and how far."""
        names = [name for name in self.held if self.held[name] != self.failed.get(name)]
        held = " ".join(f"{name} {_show(self.held[name])}" for name in names)
        failed = " ".join(f"{name} {_show(self.failed[name])}" for name in names)
        if len(names) == 1:
            failed = failed.removeprefix(f"{names[0]} ")
        return f"{held} held, {failed} failed; {self.share:.0%} of the range away"


def margins_between(space: Space, setting: Setting, failed: Setting) -> float | None:
    """How many margins `setting` stands from `failed`, or None where they cannot be compared.

    0 where it is as bold in every ordered knob; at most 1 where its `bolder` neighbour is.
    """
    return _widest(space, setting, failed, in_margins=True)


def find_edge(
    technique: str, space: Space, held: Iterable[Setting], failures: Iterable[Setting]
) -> Edge | None:
    """The narrowest gap between any of `held` and any of `failures`, or None without a pair."""
    bad = tuple(failures)
    edges = (_edge(technique, space, h, f) for h in held for f in bad)
    return min((e for e in edges if e is not None), key=lambda e: e.margins, default=None)


def is_on_edge(space: Space, setting: Setting, failures: Iterable[Setting]) -> bool:
    """Whether `setting` stands within a margin of one that fails: its bolder neighbour would."""
    edge = find_edge("", space, (setting,), failures)
    return edge is not None and edge.is_closed


def find_guard(space: Space, setting: Setting, held: Iterable[Setting]) -> Setting | None:
    """The knobs of the boldest setting in `held` that is bolder than `setting`, if one is."""
    knobs = _knobs(space, setting)
    bolder_ones = [
        _knobs(space, other)
        for other in held
        if _knobs(space, other) != knobs and is_at_least_as_bold(space, other, setting)
    ]
    return max(bolder_ones, key=lambda other: _boldness(space, other), default=None)


def bolder(space: Space, config: Setting) -> dict[str, Any]:
    """The neighbour a margin bolder in every ordered knob, clipped to the space.

    All other keys stay. Equal to `config` where nothing can move.
    """
    return _moved(space, config, +1)


def gentler(space: Space, config: Setting) -> dict[str, Any]:
    """The neighbour a margin gentler in every ordered knob: `bolder` of it is `config` again."""
    return _moved(space, config, -1)


def boldest_of(space: Space, a: Setting, b: Setting) -> dict[str, Any]:
    """The bolder value of the two in every ordered knob; the others as in `a`."""
    return {
        name: max(a[name], b[name], key=lambda value: coordinate_of(knob, value))
        if is_ordered(knob)
        else a[name]
        for name, knob in space.knobs.items()
    }


def _edge(technique: str, space: Space, held: Setting, failed: Setting) -> Edge | None:
    margins = _widest(space, held, failed, in_margins=True)
    share = _widest(space, held, failed, in_margins=False)
    if margins is None or share is None:
        return None
    return Edge(technique, _knobs(space, held), _knobs(space, failed), margins, share)


def _widest(space: Space, a: Setting, b: Setting, *, in_margins: bool) -> float | None:
    """The largest way from `a` to `b` in the bold direction; None where no way leads there."""
    if any(a[name] != b[name] for name, knob in space.knobs.items() if not is_ordered(knob)):
        return None
    ways = [
        (coordinate_of(knob, b[name]) - coordinate_of(knob, a[name]))
        / (_margin(knob) if in_margins else 1.0)
        for name, knob in space.knobs.items()
        if is_ordered(knob)
    ]
    return max(0.0, *ways) if ways else None


def _margin(knob: Knob) -> float:
    """A margin as a share of the knob's range."""
    units = n_units(knob)
    return MARGIN if units is None else 1 / max(units, 1)


def _moved(space: Space, config: Setting, direction: int) -> dict[str, Any]:
    moved = {
        name: value_at(knob, coordinate_of(knob, config[name]) + direction * _margin(knob))
        for name, knob in space.knobs.items()
        if is_ordered(knob)
    }
    return {**config, **space.following({**config, **moved}), **moved}


def _boldness(space: Space, setting: Setting) -> float:
    return sum(coordinate_of(k, setting[n]) for n, k in space.knobs.items() if is_ordered(k))


def _knobs(space: Space, setting: Setting) -> dict[str, Any]:
    return {name: setting[name] for name in space.knobs}


def _show(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
