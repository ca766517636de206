"""Calibration quality of a stack: its videos against the kept baseline's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sol.measure.fidelity import psnr, ssim
from sol.runtime.applied import Applied
from sol.search.arms import Arms, Pair, require_finite
from sol.search.records import Quality, QualityFloor


@dataclass
class _Tally:
    psnrs: list[float] = field(default_factory=list)
    ssims: list[float] = field(default_factory=list)
    speedups: list[float] = field(default_factory=list)


def compare_videos(
    arms: Arms, applied: Applied, clone: Any, pairs: Sequence[Pair], floor: QualityFloor
) -> Quality:
    """Renders the pairs on the clone, up to and with the first video below the floor.

    Raises:
        NoEffectError: A technique did not engage on the first pair.
        SolError: A rendering is not finite.
    """
    tally = _Tally()
    for pair in pairs:
        _add(tally, arms, applied, clone, pair)
        if tally.psnrs[-1] < floor.worst_psnr:
            break
    return Quality(
        psnr=float(np.mean(tally.psnrs)),
        worst_psnr=min(tally.psnrs),
        ssim=float(np.mean(tally.ssims)),
        rough_speedup=float(np.median(tally.speedups)),
        n=len(tally.psnrs),
        counts={name: dict(e.counts) for name, e in applied.evidence().items()},
    )


def _add(tally: _Tally, arms: Arms, applied: Applied, clone: Any, pair: Pair) -> None:
    baseline = arms.baseline(pair)
    start = time.perf_counter()
    rendering = arms.render(clone, pair)
    seconds = time.perf_counter() - start
    if not tally.psnrs:
        applied.require_engaged()
    require_finite(rendering)
    tally.psnrs.append(psnr(baseline.rendering.frames, rendering.frames))
    tally.ssims.append(ssim(baseline.rendering.frames, rendering.frames))
    tally.speedups.append(baseline.seconds / seconds)
