"""Seconds of one baseline video by what they go into."""

from __future__ import annotations

from collections.abc import Mapping

from sol.diagnosis import Diagnosis
from sol.validator.report.model import TimeShare

_GLUE = "glue: norms, modulation, rotary tables"


def share_time(diagnosis: Diagnosis) -> tuple[TimeShare, ...]:
    """Every second once: the roles add up to the total, and none is negative.

    What was measured is cut where the parts of something come to more than it does: stopwatches
    cost time.
    """
    part_s = diagnosis.part_s
    cross_s = max(part_s.get("cross_attention", 0.0), part_s.get("cross", 0.0))
    in_denoiser = {
        "self-attention": diagnosis.bare_attention_s,
        "projections of self-attention": part_s.get("qkv", 0.0) + part_s.get("out", 0.0),
        "cross-attention": cross_s,
        "feed-forward": part_s.get("feed_forward", 0.0),
    }
    around = {
        "denoiser": diagnosis.denoise_s,
        "decoding": diagnosis.decode_s,
        "text encoding": diagnosis.text_s,
    }
    seconds = _fill(diagnosis.total_s, around, "overhead: scheduler, pipeline")
    denoiser = _fill(seconds.pop("denoiser"), in_denoiser, _GLUE)
    return tuple(TimeShare(role, s) for role, s in {**denoiser, **seconds}.items())


def _fill(total: float, parts: Mapping[str, float], rest: str) -> dict[str, float]:
    """The parts in order, each as far as there is room for it, and what is left over."""
    filled: dict[str, float] = {}
    left = max(total, 0.0)
    for name, seconds in parts.items():
        filled[name] = min(max(seconds, 0.0), left)
        left -= filled[name]
    return {**filled, rest: left}
