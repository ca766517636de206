"""Calibration quality of a stack: its videos against the kept baseline's."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from sol.measure.fidelity import psnr, ssim
from sol.runtime.applied import Applied
from sol.runtime.render import Rendering
from sol.search.arms import Arms, Pair, require_finite
from sol.search.records import Quality, QualityFloor


@dataclass(frozen=True)
class Made:
    """A video with a stack, and the seconds it took."""

    rendering: Rendering
    seconds: float


@dataclass
class _Tally:
    psnrs: list[float] = field(default_factory=list)
    ssims: list[float] = field(default_factory=list)
    speedups: list[float] = field(default_factory=list)


def compare_videos(
    arms: Arms,
    applied: Applied,
    clone: Any,
    pairs: Sequence[Pair],
    floor: QualityFloor,
    made: Mapping[Pair, Made] = MappingProxyType({}),
) -> Quality:
    """Renders the pairs on the clone, up to and with the first video below the floor.

    Args:
        made: What was made already on this clone.

    Raises:
        NoEffectError: A technique did not engage on the first pair.
        SolError: A rendering is not finite.
    """
    tally = _Tally()
    for pair in pairs:
        _add(tally, arms, applied, made.get(pair) or _make(arms, clone, pair), pair)
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


def _make(arms: Arms, clone: Any, pair: Pair) -> Made:
    start = time.perf_counter()
    rendering = arms.render(clone, pair)
    return Made(rendering, time.perf_counter() - start)


def _add(tally: _Tally, arms: Arms, applied: Applied, made: Made, pair: Pair) -> None:
    baseline, rendering = arms.baseline(pair), made.rendering
    if not tally.psnrs:
        applied.require_engaged()
    require_finite(rendering)
    tally.psnrs.append(psnr(baseline.rendering.frames, rendering.frames))
    tally.ssims.append(ssim(baseline.rendering.frames, rendering.frames))
    tally.speedups.append(baseline.seconds / made.seconds)
