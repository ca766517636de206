"""Whether a stack acts like a run with another guidance scale."""

from __future__ import annotations

from collections.abc import Sequence

from sol.measure.guidance import EffectiveGuidance
from sol.search.altered import Altered
from sol.search.crew import Crew, Job
from sol.search.orchestrator import TRIAL_LIMIT_S
from sol.search.worker import Pair
from sol.technique import Stack
from sol.validator.profile import GuidanceRange
from sol.validator.records import Probe

_NAME = "effective_guidance"


def probe_guidance(
    crew: Crew, arm: Stack | Altered, limits: GuidanceRange | None, pairs: Sequence[Pair]
) -> tuple[Probe, ...]:
    """The ratio to the baseline's scale that is furthest from 1, over a few prompts.

    None where the profile does not ask, where the target has no guidance to measure, and for
    planted videos that differ in something else than the way the pipeline is called.
    """
    if limits is None or not _has_guidance(arm):
        return ()
    jobs = [
        Job("effective_guidance", (arm, pair), TRIAL_LIMIT_S) for pair in pairs[: limits.prompts]
    ]
    results = crew.run_all(jobs)
    broken = next((done for done in results if done.failure is not None), None)
    if broken is not None:
        return (Probe(_NAME, False, None, None, len(jobs), broken.reason),)
    found = [done.value for done in results]
    measured = [value for value in found if isinstance(value, EffectiveGuidance)]
    if len(measured) < len(found):
        return ()
    return (_to_probe(measured, limits),)


def _has_guidance(arm: Stack | Altered) -> bool:
    """A run of other steps has no step to compare with."""
    return not isinstance(arm, Altered) or set(arm.overrides) == {"guidance_scale"}


def _to_probe(measured: Sequence[EffectiveGuidance], limits: GuidanceRange) -> Probe:
    furthest = max(measured, key=lambda guidance: abs(guidance.ratio - 1.0))
    ratio, residual = furthest.ratio, max(guidance.residual for guidance in measured)
    detail = (
        f"acts like guidance scale {furthest.scale:.3g} instead of {furthest.nominal:.3g}, "
        f"at most {residual:.1%} of the output is not guidance at all"
    )
    passed = limits.low <= ratio <= limits.high
    if ratio > 1.0:
        return Probe(_NAME, passed, ratio, limits.high, len(measured), detail, "<=")
    return Probe(_NAME, passed, ratio, limits.low, len(measured), detail, ">=")
