"""Which stacks are worth choosing between: those that no other beats in speed and in quality."""

from __future__ import annotations

from collections.abc import Sequence

SpeedAndQuality = tuple[float, float]
"""Larger is better in both."""


def find_pareto_set(points: Sequence[SpeedAndQuality | None]) -> tuple[int, ...]:
    """Indices of the points that no other is at least as good as in both, and better in one.

    Args:
        points: None for what was not measured in both: it is not in the set and beats nothing.

    Returns:
        The slowest first, so that quality falls along the set; of equal points all are in it.
    """
    found = {i: point for i, point in enumerate(points) if point is not None}
    best = [i for i, own in found.items() if not any(_beats(p, own) for p in found.values())]
    return tuple(sorted(best, key=lambda i: (found[i][0], i)))


def _beats(one: SpeedAndQuality, other: SpeedAndQuality) -> bool:
    return one != other and one[0] >= other[0] and one[1] >= other[1]
