"""What a stack must do apart from quality: leave nothing behind, and make the same video twice."""

from __future__ import annotations

from typing import Any

import numpy as np

from sol.search.crew import TRIAL_LIMIT_S, Crew, Job
from sol.search.worker import Pair
from sol.skills.registry import get_technique
from sol.technique import Stack, StackItem
from sol.validator.records import Probe

Latents = np.ndarray[Any, np.dtype[np.float32]]


def probe_mechanics(crew: Crew, stack: Stack, first: Pair, second: Pair) -> tuple[Probe, ...]:
    """`off_is_identity`, `state_leak` and `determinism`. A failed job is a failed probe.

    Args:
        first: A pair to begin with; `second` is made after it.
    """
    return (
        _off_is_identity(crew, stack, first),
        *_repeatability(crew, stack, first, second),
    )


def _off_is_identity(crew: Crew, stack: Stack, pair: Pair) -> Probe:
    """After undo, and at identity settings, the video is the baseline's."""
    jobs = [Job("latents_after_undo", (stack, pair), TRIAL_LIMIT_S)]
    identity = _at_identity(stack)
    if identity:
        jobs.append(Job("latents_at_identity", (identity, pair), TRIAL_LIMIT_S))
    results = crew.run_all(jobs)
    broken = next((done for done in results if done.failure is not None), None)
    if broken is not None:
        return Probe("off_is_identity", False, None, 0.0, len(jobs), broken.reason)
    differences = [_largest_difference(*done.value) for done in results]
    passed = all(difference == 0.0 for difference in differences)
    detail = "bit-identical after undo" + (" and at identity settings" if identity else "")
    if not passed:
        detail = f"latents differ from the baseline by up to {max(differences):.2e}"
    return Probe("off_is_identity", passed, max(differences), 0.0, len(jobs), detail)


def _at_identity(stack: Stack) -> Stack:
    """The members that have an identity setting, at it."""
    return tuple(
        StackItem(item.technique, {**item.config, **identity}, item.schedule)
        for item in stack
        if (identity := get_technique(item.technique).identity) is not None
    )


def _repeatability(crew: Crew, stack: Stack, first: Pair, second: Pair) -> tuple[Probe, Probe]:
    """The second video of one pipeline, and the same video made first on fresh pipelines."""
    jobs = [
        Job("final_latents", (stack, [first, second]), TRIAL_LIMIT_S),
        Job("final_latents", (stack, [second]), TRIAL_LIMIT_S),
        Job("final_latents", (stack, [second]), TRIAL_LIMIT_S),
    ]
    results = crew.run_all(jobs)
    broken = next((done for done in results if done.failure is not None), None)
    if broken is not None:
        return (
            Probe("state_leak", False, None, 0.0, 2, broken.reason),
            Probe("determinism", False, None, 0.0, 2, broken.reason),
        )
    after_other, fresh, again = (done.value for done in results)
    return (
        _equality("state_leak", after_other, fresh, "a video does not depend on the one before"),
        _equality("determinism", fresh, again, "two runs of one prompt and seed are equal"),
    )


def _equality(name: str, a: Latents, b: Latents, meaning: str) -> Probe:
    difference = _largest_difference(a, b)
    passed = difference == 0.0
    detail = f"{meaning}, bit by bit" if passed else f"latents differ by up to {difference:.2e}"
    return Probe(name, passed, difference, 0.0, 2, detail)


def _largest_difference(a: Latents, b: Latents) -> float:
    """Infinite where the shapes differ or a value is not finite."""
    if a.shape != b.shape:
        return float("inf")
    difference = float(np.abs(a - b).max())
    return difference if np.isfinite(difference) else float("inf")
