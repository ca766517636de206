"""Which settings are worth keeping."""

from __future__ import annotations

from stack_examples import outcome_of, setting

from sol.search.frontier import frontier_of
from sol.search.records import FrontierPoint


def point(speedup: float, psnr: float) -> FrontierPoint:
    outcome = outcome_of(speedup, psnr)
    return FrontierPoint(setting(1, "easycache"), outcome.quality, outcome.speed)


def test_the_frontier_keeps_what_nothing_beats_in_both():
    measured = ((2.0, 25.0), (1.9, 24.0), (1.5, 30.0), (1.5, 29.0), (1.1, 35.0))
    kept = frontier_of(point(*numbers) for numbers in measured)
    assert [(p.speed.median, p.quality.psnr) for p in kept] == [
        (2.0, 25.0),
        (1.5, 30.0),
        (1.1, 35.0),
    ]


def test_of_nothing_nothing_is_kept():
    assert frontier_of(()) == ()
