"""The metrics by the name that a gate profile uses; `pocket_*` make sense for that model alone.

Each name leads to a scorer, which may give several scores at once: `score.py` calls it once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sol.measure.fidelity import Frames, psnr, ssim
from sol.validator.metrics.alignment import in_step
from sol.validator.metrics.features import feature_consistency, feature_similarity
from sol.validator.metrics.flickering import temporal_flickering
from sol.validator.metrics.flow import flow_motion
from sol.validator.metrics.look import motion, saturation, sharpness
from sol.validator.metrics.pocket.score import pocket_agreement, pocket_fit
from sol.validator.metrics.tone import brightness_steadiness, colour_shift
from sol.validator.metrics.vmaf import score_vmaf

Scores = Mapping[str, float]
VideoScorer = Callable[[Frames], Scores]
PairScorer = Callable[[Frames, Frames], Scores]


def _of_video(name: str, measure: Callable[[Frames], float]) -> Mapping[str, VideoScorer]:
    return {name: lambda frames: {name: measure(frames)}}


def _of_pair(name: str, measure: Callable[[Frames, Frames], float]) -> Mapping[str, PairScorer]:
    return {name: lambda reference, other: {name: measure(reference, other)}}


VIDEO_METRICS: Mapping[str, VideoScorer] = {
    **_of_video("temporal_flickering", temporal_flickering),
    **_of_video("sharpness", sharpness),
    **_of_video("motion", motion),
    **_of_video("flow_motion", flow_motion),
    **_of_video("saturation", saturation),
    **_of_video("feature_consistency", feature_consistency),
    **_of_video("pocket_fit", pocket_fit),
}
"""Of one video; the gate compares baseline and accelerated."""

PAIRED_METRICS: Mapping[str, PairScorer] = {
    **_of_pair("psnr", psnr),
    **_of_pair("ssim", ssim),
    "vmaf": score_vmaf,
    "vmaf_neg": score_vmaf,
    **_of_pair("feature_similarity", feature_similarity),
    **_of_pair("in_step", in_step),
    **_of_pair("colour_shift", colour_shift),
    **_of_pair("brightness_steadiness", brightness_steadiness),
    **_of_pair("pocket_agreement", pocket_agreement),
}
"""Of a pair: reference first, accelerated second."""
