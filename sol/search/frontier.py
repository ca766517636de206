"""Which settings are worth keeping."""

from __future__ import annotations

from collections.abc import Iterable

from sol.search.records import FrontierPoint


def frontier_of(points: Iterable[FrontierPoint]) -> tuple[FrontierPoint, ...]:
    """The points that no other beats in both speed and quality, the fastest first."""
    kept: list[FrontierPoint] = []
    for point in sorted(points, key=lambda p: (-p.speed.median, -p.quality.psnr)):
        if not kept or point.quality.psnr > kept[-1].quality.psnr:
            kept.append(point)
    return tuple(kept)
