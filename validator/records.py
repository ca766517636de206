"""What the gate decides on, as plain data: compared pairs, and findings that callers gather."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sol.errors import SolError
from sol.lossless_video import to_float, to_pixels
from sol.measure.fidelity import Frames
from sol.validator.metrics.look import motion
from sol.validator.metrics.score import score_pair, score_video
from sol.validator.metrics.table import PAIRED_METRICS, VIDEO_METRICS
from sol.validator.sanity import find_sanity_problems

PROBES = ("off_is_identity", "engagement", "state_leak", "determinism")
Comparison = Literal[">=", "<="]

MIN_FRAMES = 2
_VIDEO_DIMENSIONS = 4


@dataclass(frozen=True)
class PairRecord:
    """One prompt and seed, made by both sides.

    Attributes:
        baseline: Video metrics of the baseline, by name.
        accelerated: The same of the accelerated video.
        paired: Metrics of the two together, by name.
        problems: Sanity problems; with an array that cannot be measured the metrics are empty.
        stratum: The kind of prompt.
    """

    prompt: str
    seed: int
    baseline: Mapping[str, float]
    accelerated: Mapping[str, float]
    paired: Mapping[str, float]
    problems: tuple[str, ...] = ()
    stratum: str = ""


@dataclass(frozen=True)
class Probe:
    """A pass or fail that is not about a pair's quality.

    Attributes:
        name: One of `PROBES`, or a further one.
        value: What was measured, if it is a number.
        bound: The limit it was held to, if there is one.
        n: How many runs it rests on.
        detail: A sentence for the reader.
        rule: How `value` must stand to `bound`.
    """

    name: str
    passed: bool
    value: float | None
    bound: float | None
    n: int
    detail: str
    rule: Comparison = "<="


def compare_pair(
    prompt: str,
    seed: int,
    baseline_frames: Frames,
    accelerated_frames: Frames,
    metrics: Collection[str],
) -> PairRecord:
    """Measures a pair, in 8 bits: as the videos are kept, and as anybody will see them.

    Args:
        baseline_frames: (frames, height, width, 3), RGB in [0, 1].
        accelerated_frames: The same shape, from the same prompt and seed.
        metrics: Names of those to compute, of one video or of a pair.

    Raises:
        SolError: The baseline is not a video of at least two RGB frames.
        MetricError: A metric gave no score.
    """
    _check_is_video(baseline_frames)
    shape, moves = baseline_frames.shape, motion(baseline_frames)
    problems = (
        *_tag("baseline", find_sanity_problems(baseline_frames, shape)),
        *_tag("accelerated", find_sanity_problems(accelerated_frames, shape, moves)),
    )
    if not _can_measure(baseline_frames, accelerated_frames):
        return PairRecord(prompt, seed, {}, {}, {}, problems)
    baseline_frames, accelerated_frames = map(_in_8_bits, (baseline_frames, accelerated_frames))
    of_video = [name for name in VIDEO_METRICS if name in metrics]
    of_pair = [name for name in PAIRED_METRICS if name in metrics]
    return PairRecord(
        prompt=prompt,
        seed=seed,
        baseline=score_video(baseline_frames, of_video),
        accelerated=score_video(accelerated_frames, of_video),
        paired=score_pair(baseline_frames, accelerated_frames, of_pair),
        problems=problems,
    )


def _tag(side: str, problems: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{side}: {problem}" for problem in problems)


def _can_measure(baseline: Frames, accelerated: Frames) -> bool:
    same = baseline.shape == accelerated.shape
    return same and bool(np.isfinite(baseline).all() and np.isfinite(accelerated).all())


def _in_8_bits(frames: Frames) -> Frames:
    return to_float(to_pixels(frames))


def _check_is_video(frames: Frames) -> None:
    if frames.ndim != _VIDEO_DIMENSIONS or frames.shape[0] < MIN_FRAMES:
        raise SolError(
            f"A pair needs videos of shape (frames, height, width, 3) with {MIN_FRAMES} frames or "
            f"more, got {frames.shape}: raise num_frames, and pass one video at a time."
        )
