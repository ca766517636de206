"""The metrics by the name that a gate profile uses; `pocket_*` make sense for that model alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sol.measure.fidelity import Frames, psnr, ssim
from sol.validator.metrics.alignment import in_step
from sol.validator.metrics.flickering import temporal_flickering
from sol.validator.metrics.look import motion, saturation, sharpness
from sol.validator.metrics.pocket.score import pocket_agreement, pocket_fit

VIDEO_METRICS: Mapping[str, Callable[[Frames], float]] = {
    "temporal_flickering": temporal_flickering,
    "sharpness": sharpness,
    "motion": motion,
    "saturation": saturation,
    "pocket_fit": pocket_fit,
}
"""Of one video; the gate compares baseline and accelerated."""

PAIRED_METRICS: Mapping[str, Callable[[Frames, Frames], float]] = {
    "psnr": psnr,
    "ssim": ssim,
    "in_step": in_step,
    "pocket_agreement": pocket_agreement,
}
"""Of a pair: reference first, accelerated second."""
