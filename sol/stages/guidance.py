"""Whether a stack acts like a run with another guidance scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sol.measure.guidance import EffectiveGuidance
from sol.measure.stats import one_sided_lower
from sol.search.altered import Altered
from sol.search.crew import TRIAL_LIMIT_S, Crew, Job
from sol.search.worker import Pair
from sol.technique import Stack
from sol.validator.profile import GuidanceRange
from sol.validator.records import Probe

_NAME = "effective_guidance"
_RESAMPLING_SEED = 0


def probe_guidance(
    crew: Crew, arm: Stack | Altered, limits: GuidanceRange | None, pairs: Sequence[Pair]
) -> tuple[Probe, ...]:
    """The mean ratio to the baseline's scale, bounded on the side where it is off.

    None where the profile does not ask, where the target has no guidance to measure, and for
    planted damage that is not in the guidance: finished frames, or another number of steps.
    """
    if limits is None or not _is_guided_otherwise(arm):
        return ()
    jobs = [
        Job("effective_guidance", (arm, pair), TRIAL_LIMIT_S) for pair in pairs[: limits.prompts]
    ]
    results = crew.run_all(jobs)
    broken = next((done for done in results if done.failure is not None), None)
    if broken is not None:
        return (Probe(_NAME, False, None, None, len(jobs), broken.reason),)
    measured = [done.value for done in results if isinstance(done.value, EffectiveGuidance)]
    if len(measured) < len(results):
        return ()
    return (_to_probe(measured, limits),)


def _is_guided_otherwise(arm: Stack | Altered) -> bool:
    if not isinstance(arm, Altered):
        return True
    return arm.spoil is None and set(arm.overrides) <= {"guidance_scale"}


def _to_probe(measured: Sequence[EffectiveGuidance], limits: GuidanceRange) -> Probe:
    ratios = np.array([guidance.ratio for guidance in measured])
    mean, is_high = float(ratios.mean()), float(ratios.mean()) > 1.0
    side = -1.0 if is_high else 1.0
    rng = np.random.default_rng(_RESAMPLING_SEED)
    bound = side * one_sided_lower(side * ratios, rng, limits.confidence)
    passed = bound <= limits.high if is_high else bound >= limits.low
    nominal = measured[0].nominal
    residual = float(np.mean([guidance.residual for guidance in measured]))
    detail = (
        f"acts like guidance scale {mean * nominal:.3g} instead of {nominal:.3g} (ratio "
        f"{mean:.3g}, {limits.confidence:.0%} bound {bound:.3g}); {residual:.1%} of the output is "
        "off the line between the branches"
    )
    limit = limits.high if is_high else limits.low
    return Probe(_NAME, passed, bound, limit, len(measured), detail, "<=" if is_high else ">=")
