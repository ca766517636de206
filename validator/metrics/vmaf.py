"""Netflix's VMAF of a pair, through the libvmaf inside imageio-ffmpeg's ffmpeg.

VMAF looks at luma's detail and motion alone: it neither sees a colour cast nor a clip that is
brighter throughout. A video against itself scores 97.4 where it is still and 98 to 99.9 where it
moves, never 100: compare with other pairs, not with 100.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sol.ffmpeg import TIME_LIMIT_S, FfmpegError, run_ffmpeg
from sol.lossless_video import VideoFileError, to_pixels
from sol.measure.fidelity import Frames
from sol.validator.metrics.metric_error import MetricError

_MODELS = {"vmaf": "vmaf_v0.6.1", "vmaf_neg": "vmaf_v0.6.1neg"}
_SHORTEST_SIDE = 64
"""libvmaf crashes at 16 pixels a side, and below 64 it forgives blur: 85 at 24x24, 72 at 64x64."""
_BEST = 100.0
_REMEDY = "Run it again, or take vmaf out of the profile."
_FRAME_RATE = "16"
"""VMAF takes frames one by one: the rate changes nothing."""


def score_vmaf(
    reference: Frames,
    other: Frames,
    *,
    time_limit_s: float = TIME_LIMIT_S,
    ffmpeg: str | None = None,
) -> Mapping[str, float]:
    """VMAF v0.6.1 and its NEG model (no enhancement gain), one call for both.

    Li et al. 2016; libvmaf's mean over frames, of 8-bit RGB as BT.709 luma in limited range. Both
    videos travel side by side in one picture, so that no frame can meet another one's partner.
    Videos with a side below 64 pixels are enlarged by a whole factor, bicubic: on 32x32 clips
    blur then scores 55 instead of 85, and half a level of noise 97 as before.

    Args:
        reference: (frames, height, width, 3), RGB in [0, 1].
        other: The same shape.
        ffmpeg: The executable, if not imageio-ffmpeg's.

    Returns:
        "vmaf" and "vmaf_neg", 0 to 100.

    Raises:
        MetricError: ffmpeg did not give two scores of all frames, with the reason.
    """
    height, width = reference.shape[1:3]
    graph = _write_graph(height, width)
    source = ("-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", f"{2 * width}x{height}")
    target = ("-lavfi", graph, "-threads", "1", "-f", "null", "-")
    command = (*source, "-framerate", _FRAME_RATE, "-i", "pipe:0", *target)
    try:
        both = np.concatenate([to_pixels(other), to_pixels(reference)], axis=2)
        done = run_ffmpeg(command, both.data.cast("B"), time_limit_s, ffmpeg)
    except (FfmpegError, VideoFileError) as error:
        raise MetricError(f"VMAF gave no score: {error} {_REMEDY}") from error
    return _read_scores(done.output, len(reference))


def _write_graph(height: int, width: int) -> str:
    factor = math.ceil(_SHORTEST_SIDE / min(height, width))
    prepare = (
        f"scale={width * factor}:{height * factor}:flags=bicubic+accurate_rnd+bitexact"
        ":out_color_matrix=bt709:out_range=tv,format=yuv444p"
    )
    halves = (
        f"[0:v]split[a][b];[a]crop={width}:{height}:0:0:exact=1,{prepare}[other];"
        f"[b]crop={width}:{height}:{width}:0:exact=1,{prepare}[reference]"
    )
    models = "|".join(f"version={model}\\:name={name}" for name, model in _MODELS.items())
    measure = f"libvmaf=model='{models}':log_fmt=json:log_path=/dev/stdout:n_threads=1"
    return f"{halves};[other][reference]{measure}"


def _read_scores(output: bytes, n_frames: int) -> Mapping[str, float]:
    try:
        report = json.loads(output)
        n_measured = len(report["frames"])
        scores = {name: report["pooled_metrics"][name]["mean"] for name in _MODELS}
    except (ValueError, LookupError, TypeError):
        start = output[:60].decode(errors="replace")
        raise MetricError(f"VMAF wrote no scores but {start!r}. {_REMEDY}") from None
    if n_measured != n_frames:
        raise MetricError(f"VMAF measured {n_measured} of {n_frames} frames. {_REMEDY}")
    for name, score in scores.items():
        if not _is_score(score):
            raise MetricError(f"VMAF's {name} is {score}, not from 0 to {_BEST:g}. {_REMEDY}")
    return scores


def _is_score(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and 0.0 <= value <= _BEST
