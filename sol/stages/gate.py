"""Gathers what the gate decides on, from workers, over prompts and seeds the search never saw."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sol.search.crew import Crew, Job
from sol.search.executors.base import Done
from sol.search.orchestrator import TRIAL_LIMIT_S
from sol.search.worker import Pair
from sol.skills.registry import get_technique
from sol.technique import Stack, StackItem
from sol.validator.gate import decide
from sol.validator.profile import Profile
from sol.validator.records import PairRecord, Probe, compare_pair
from sol.validator.verdict import Verdict

Latents = np.ndarray[Any, np.dtype[np.float32]]

_DECISION_SEED = 0


@dataclass(frozen=True)
class GateResult:
    """The verdict and the records behind it."""

    verdict: Verdict
    pairs: tuple[PairRecord, ...]
    engagement: Mapping[str, Mapping[str, int]]


def run_gate(crew: Crew, stack: Stack, profile: Profile, pairs: tuple[Pair, ...]) -> GateResult:
    """Renders all pairs and probes, then lets the gate decide. A failed job is a failed check."""
    compare = functools.partial(compare_pair, metrics=profile.metric_names)
    jobs = [Job("compare", (stack, pair, compare), TRIAL_LIMIT_S) for pair in pairs]
    compared = crew.run_all(jobs)
    records = tuple(done.value[0] for done in compared if done.failure is None)
    engagement: Mapping[str, Mapping[str, int]] = next(
        (done.value[1] for done in reversed(compared) if done.failure is None), {}
    )
    probes = (
        _engagement(compared),
        _off_is_identity(crew, stack, pairs[0]),
        *_repeatability(crew, stack, pairs[0], pairs[-1]),
    )
    verdict = decide(profile, records, probes, np.random.default_rng(_DECISION_SEED))
    return GateResult(verdict, records, engagement)


def _engagement(compared: list[Done]) -> Probe:
    failed = [done for done in compared if done.failure is not None]
    detail = failed[0].reason if failed else "every technique engaged in every video"
    return Probe("engagement", not failed, float(len(failed)), 0.0, len(compared), detail)


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
