"""Effective guidance of one prompt and seed: the run, then the pristine pipeline along it."""

from __future__ import annotations

import functools
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from sol.clock import Clock
from sol.measure.guidance import EffectiveGuidance, Unmeasurable, measure_effective_guidance
from sol.measure.guided_steps import record_steps
from sol.models.families import describe_roles
from sol.runtime.clone import clone_pipeline
from sol.runtime.render import denoise
from sol.runtime.ticker import start_ticking
from sol.search.altered import Altered, jittered_outputs
from sol.search.arms import Arms, Pair
from sol.target import Workload


def compare_guidance(
    pristine: Any,
    workload: Workload,
    run: Any,
    run_workload: Workload,
    pair: tuple[str, int],
    run_prompt: str | None = None,
) -> EffectiveGuidance | Unmeasurable:
    """Two denoisings without decoding.

    Args:
        pristine: The unmodified pipeline; its clone is run.
        workload: How the baseline is made.
        run: The pipeline whose guidance is in question.
        run_workload: How it is called.
        pair: Prompt and seed.
        run_prompt: What the run is made with instead of the pair's prompt.

    Raises:
        GuidanceError: The run does not take the steps of the pristine pipeline.
    """
    prompt, seed = pair
    run_prompt = prompt if run_prompt is None else run_prompt
    steps = record_steps(
        functools.partial(denoise, run, run_workload, run_prompt, seed), run.scheduler
    )
    teacher, clock = clone_pipeline(pristine), Clock()
    roles = describe_roles(teacher)
    stop = start_ticking(teacher, roles, clock)
    # The run's steps, guided as the baseline is.
    taught = replace(
        run_workload,
        guidance_scale=workload.guidance_scale,
        negative_prompt=workload.negative_prompt,
    )
    try:
        return measure_effective_guidance(
            steps,
            functools.partial(denoise, teacher, taught, *pair),
            teacher.scheduler,
            roles.denoisers,
            clock,
            roles.guidance_weight(workload.guidance_scale),
        )
    finally:
        stop()


def guidance_of_altered(arms: Arms, arm: Altered, pair: Pair) -> EffectiveGuidance | Unmeasurable:
    """Of the pristine pipeline used in another way; what is done to frames does not count.

    Raises:
        GuidanceError: The run does not take the steps of the pristine pipeline.
    """
    clone = clone_pipeline(arms.pristine)
    changed = arms.workload.with_overrides(arm.overrides)
    with nullcontext() if arm.jitter is None else jittered_outputs(clone, arm.jitter):
        return compare_guidance(arms.pristine, arms.workload, clone, changed, pair, arm.prompt)
