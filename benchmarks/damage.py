"""Damage planted into the pocket model's videos, and what the gate says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from studio import Studio

from sol.measure.fidelity import Frames
from sol.models.catalog import POCKET, default_gate
from sol.models.pocket.prompts import held_out_prompts
from sol.models.pocket.sampling import Sampling
from sol.models.pocket.workload import GUIDANCE_SCALE
from sol.validator.gate import decide
from sol.validator.metrics.table import PAIRED_METRICS, VIDEO_METRICS
from sol.validator.profile import Profile, load_profile
from sol.validator.records import PairRecord, compare_pair

OTHER_SEED = 10_000


@dataclass(frozen=True)
class Finding:
    """One kind of damage at the gate.

    Attributes:
        means: Paired metrics by their mean, metrics of one video by the ratio of means.
        verdict: "accepted" or "rejected".
        failed: Names of the checks that failed.
    """

    means: Mapping[str, float]
    verdict: str
    failed: tuple[str, ...]


def blur(frames: Frames) -> Frames:
    """Three passes of a binomial filter along both sides: a standard deviation of 1.2 pixels."""
    for axis in (1, 2):
        for _ in range(3):
            edge = [(1, 1) if i == axis else (0, 0) for i in range(4)]
            padded = np.pad(frames, edge, mode="edge")
            n = frames.shape[axis]
            left, middle, right = (padded.take(range(k, k + n), axis) for k in range(3))
            frames = (left + 2 * middle + right) / 4
    return frames


def freeze(frames: Frames) -> Frames:
    """The first frame throughout."""
    return np.repeat(frames[:1], len(frames), axis=0)


def lag(frames: Frames) -> Frames:
    """One frame late."""
    return np.concatenate([frames[:1], frames[:-1]])


SPOILERS: Mapping[str, Callable[[Frames], Frames]] = {"blur": blur, "freeze": freeze, "lag": lag}


def measure_damage(studio: Studio, n_prompts: int) -> dict[str, Finding]:
    """Plants every kind of damage into two seeds of each prompt, beside an A/A run."""
    usual = Sampling()
    baseline = _make_twice(studio, usual, n_prompts)
    planted = {
        "A/A": _make_twice(studio, usual, n_prompts),
        "16 of 24 steps": _make_twice(studio, replace(usual, steps=16), n_prompts),
        "8 of 24 steps": _make_twice(studio, replace(usual, steps=8), n_prompts),
        **{
            f"guidance x{factor:g}": _make_twice(
                studio, replace(usual, guidance_scale=factor * GUIDANCE_SCALE), n_prompts
            )
            for factor in (1.2, 1.5)
        },
        **{name: [spoil(frames) for frames in baseline] for name, spoil in SPOILERS.items()},
    }
    # The probes are about a technique's mechanics, and none is installed here.
    profile = replace(load_profile(default_gate(POCKET.name)), probes=())
    return {name: _judge(profile, baseline, damaged) for name, damaged in planted.items()}


def _make_twice(studio: Studio, sampling: Sampling, n_prompts: int) -> list[Frames]:
    other = replace(sampling, first_seed=sampling.first_seed + OTHER_SEED)
    return [*studio.make(sampling, n_prompts), *studio.make(other, n_prompts)]


def _judge(profile: Profile, baseline: Sequence[Frames], damaged: Sequence[Frames]) -> Finding:
    prompts = held_out_prompts(len(baseline) // 2)
    records = [
        compare_pair(prompts[i % len(prompts)], i // len(prompts), a, b, profile.metric_names)
        for i, (a, b) in enumerate(zip(baseline, damaged, strict=True))
    ]
    verdict = decide(profile, records, [], np.random.default_rng(0))
    failed = tuple(check.name for check in verdict.checks if not check.passed)
    return Finding(_means(records), verdict.verdict, failed)


def _means(records: Sequence[PairRecord]) -> dict[str, float]:
    paired = {name: _mean([r.paired[name] for r in records]) for name in PAIRED_METRICS}
    ratios = {
        f"{name} ratio": _mean([r.accelerated[name] for r in records])
        / _mean([r.baseline[name] for r in records])
        for name in VIDEO_METRICS
    }
    return paired | ratios


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
