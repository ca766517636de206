"""Timings as a recipe records them. `sol bench` makes them too, where no search is installed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sol.measure.stats import bootstrap_median
from sol.recipe import ColdStart, Measured
from sol.search import records
from sol.search.records import Speed

_RESAMPLING_SEED = 0


def measured_ratio(speed: Speed, device: str) -> Measured:
    """The paired speed-up of a timing."""
    return Measured(
        round(speed.median, 4), round(speed.low, 4), round(speed.high, 4), speed.n, device
    )


def measured_seconds(seconds: Sequence[float], device: str) -> Measured:
    """Median seconds with a bootstrap interval."""
    interval = bootstrap_median(list(seconds), np.random.default_rng(_RESAMPLING_SEED))
    return Measured(
        round(interval.median, 4), round(interval.low, 4), round(interval.high, 4),
        interval.n, device,
    )  # fmt: skip


def measured_cold_start(
    cold_start: records.ColdStart | None, speed: Speed, device: str
) -> ColdStart | None:
    """What a start costs, and after how many videos at the timed speed it is paid for."""
    if cold_start is None:
        return None
    return ColdStart(
        install_s=round(cold_start.install_s, 4),
        first_extra_s=round(cold_start.first_extra_s, 4),
        break_even=cold_start.find_break_even(speed),
        n=1,
        device=device,
    )
