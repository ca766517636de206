"""The metrics by the name that a gate profile uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sol.measure.fidelity import Frames, psnr, ssim
from sol.validator.metrics.alignment import in_step
from sol.validator.metrics.flickering import temporal_flickering
from sol.validator.metrics.look import motion, saturation, sharpness

VIDEO_METRICS: Mapping[str, Callable[[Frames], float]] = {
    "temporal_flickering": temporal_flickering,
    "sharpness": sharpness,
    "motion": motion,
    "saturation": saturation,
}
"""Of one video; the gate compares baseline and accelerated."""

PAIRED_METRICS: Mapping[str, Callable[[Frames, Frames], float]] = {
    "psnr": psnr,
    "ssim": ssim,
    "in_step": in_step,
}
"""Of a pair: reference first, accelerated second."""
