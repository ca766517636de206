"""Paired timing: baseline and accelerated, interleaved in one process."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from sol.errors import SolError
from sol.measure.stats import Interval, bootstrap_median

MIN_PAIRS = 2

_RESAMPLING_SEED = 0
"""Fixed, so that one set of readings always has the same interval."""


@dataclass(frozen=True)
class PairedTiming:
    """Seconds of each run; the i-th readings of both sides were taken next to each other."""

    baseline_s: tuple[float, ...]
    accelerated_s: tuple[float, ...]
    device: str

    @property
    def n(self) -> int:
        """The number of pairs."""
        return len(self.baseline_s)

    @property
    def speedup(self) -> Interval:
        """Baseline over accelerated, by pair: drift that hits both sides cancels."""
        ratios = np.asarray(self.baseline_s) / np.asarray(self.accelerated_s)
        return _interval(ratios.tolist())

    @property
    def baseline(self) -> Interval:
        """Seconds of one baseline run."""
        return _interval(self.baseline_s)

    @property
    def accelerated(self) -> Interval:
        """Seconds of one accelerated run."""
        return _interval(self.accelerated_s)


def time_pairs(
    baseline: Callable[[], object],
    accelerated: Callable[[], object],
    *,
    n_pairs: int,
    warmup: int,
    synchronize: Callable[[], None],
    clock: Callable[[], float],
    device: str,
) -> PairedTiming:
    """Times both sides in the order A B, B A, A B, ... after warming both up.

    Args:
        n_pairs: Readings of each side.
        warmup: Unmeasured runs of each side before the first reading.
        synchronize: Returns once the device has nothing left to do; called before every reading.
        clock: Monotonic seconds.
        device: What ran it, for the record.

    Raises:
        SolError: Fewer than two pairs.
    """
    if n_pairs < MIN_PAIRS:
        raise SolError(f"A speed-up needs at least {MIN_PAIRS} pairs, got {n_pairs}; raise it.")
    sides = (baseline, accelerated)
    for run in sides * warmup:
        run()
    readings: tuple[list[float], list[float]] = ([], [])
    with _collector_paused():
        for pair in range(n_pairs):
            for side in (0, 1) if pair % 2 == 0 else (1, 0):
                readings[side].append(_time_once(sides[side], synchronize, clock))
    return PairedTiming(tuple(readings[0]), tuple(readings[1]), device)


def _time_once(
    run: Callable[[], object], synchronize: Callable[[], None], clock: Callable[[], float]
) -> float:
    gc.collect()
    synchronize()
    start = clock()
    run()
    synchronize()
    return clock() - start


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No garbage collection inside a reading: it would land on whichever side is unlucky."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _interval(values: tuple[float, ...] | list[float]) -> Interval:
    return bootstrap_median(values, np.random.default_rng(_RESAMPLING_SEED))
