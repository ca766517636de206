"""A schedule planned for this target: which steps to compute, and how to predict the others.

Steps are chosen by DPCache's path planning on the recorded trajectory of a few prompts, or spaced
evenly in the recorded change (`sol.skills.cache.planning.plan`); skipped steps are predicted in
first order, or with weights fitted for exactly that schedule (`sol.skills.cache.planning.ridge`).
Planning sees an undisturbed trajectory, so the plans of each size are rivals, the uniform one
among them: each is run, and the one that stays closest to the baseline is offered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from sol.clock import Clock
from sol.diagnosis import Redundancy
from sol.errors import ConfigError
from sol.roles import Capability, Roles
from sol.schedule import Schedule, format_range
from sol.skills.cache.planning.plan import (
    Costs,
    cheapest_plans,
    even_change_plan,
    gap_costs,
    skipped_of,
    uniform_plan,
)
from sol.skills.cache.planning.ridge import fit_schedule
from sol.skills.cache.planning.trajectory import Trajectory
from sol.skills.cache.skipping.reuse import ReuseKind
from sol.skills.cache.steps.step_mask import MaskPolicy, StepMaskConfig
from sol.skills.cache.steps.step_skip import install_step_skip
from sol.space import Ranked, Space
from sol.target import STRICT
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique

_WARMUP = 2
"""Two computed steps are what a first-order prediction needs; a plan may compute more."""

_SHARES = (0.67, 0.58, 0.5, 0.46, 0.42, 0.375, 0.33)
"""Of the steps that are computed: from timid to what no published schedule survives."""

_EARLY = (0.0, 2.0)
"""Weights of early errors under which plans are made: see `gap_costs`."""

_POWERS = (0.25, 0.5)
"""Of the change between steps, in plans that space it evenly: see `even_change_plan`."""

_FIRST = (0.5, 0.42, 0.58)
_SIGMA_TOLERANCE = 1e-3

_Rival = tuple[tuple[int, ...], ReuseKind]
"""The steps to compute, and how to predict the others."""


@dataclass(frozen=True, kw_only=True)
class PlannedConfig(StepMaskConfig):
    """Settings of a mask, and what it was planned for.

    Attributes:
        steps: Steps of the video that it was planned for.
        middle: Noise level at step `steps` // 2: another shift of the noise levels is another
            trajectory. None where the scheduler has no noise levels.
    """

    __pydantic_config__ = STRICT

    steps: Annotated[int, Field(ge=1)] | None = None
    middle: float | None = None


def install(roles: Roles, config: PlannedConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Puts the plan in front of every denoiser."""
    end = clock.on_video(lambda: _check_trajectory(config, clock))
    installed = install_step_skip(
        roles, clock, "sol.planned", config, lambda: MaskPolicy(config.skip, schedule, clock)
    )

    def undo() -> None:
        installed.undo()
        end()

    return Installed(undo, installed.evidence)


def _check_trajectory(config: PlannedConfig, clock: Clock) -> None:
    if config.steps is not None and config.steps != clock.n_steps:
        raise ConfigError(
            f"This schedule was planned for {config.steps} steps, the video has {clock.n_steps}: "
            f"pass num_inference_steps={config.steps}, or tune for {clock.n_steps}."
        )
    middle = clock.sigma_at(clock.n_steps // 2)
    if config.middle is None or middle is None:
        return
    if abs(config.middle - middle) > _SIGMA_TOLERANCE:
        raise ConfigError(
            f"This schedule was planned for a noise level of {config.middle:.4f} at step "
            f"{clock.n_steps // 2}, the scheduler has {middle:.4f}: use the scheduler settings "
            "and resolution of the recipe, or tune for these."
        )


def rivals(context: SpaceContext) -> tuple[tuple[Mapping[str, Any], ...], ...]:
    """For each number of computed steps, plans by several ideas, and the even one to beat."""
    redundancy = context.diagnosis.redundancy
    if redundancy is None:
        return ()
    trajectory = Trajectory(redundancy)
    costs = [gap_costs(trajectory, "taylor1", early=early) for early in _EARLY]
    n_steps = trajectory.n_steps
    sizes = sorted({round(share * n_steps) for share in _SHARES}, reverse=True)
    return tuple(
        tuple(_config(trajectory, *rival) for rival in _group(redundancy, size, costs))
        for size in sizes
        if _WARMUP + 1 < size < n_steps
    )


def _group(redundancy: Redundancy, n_computed: int, costs: Sequence[Costs]) -> list[_Rival]:
    """In first order all of them; with fitted weights the first of each idea."""
    cheapest = [plan for table in costs for plan in cheapest_plans(table, n_computed, _WARMUP)]
    even_change = [
        even_change_plan(redundancy.output_change, n_computed, _WARMUP, power) for power in _POWERS
    ]
    even = uniform_plan(len(redundancy.positions), n_computed, _WARMUP)
    first: list[_Rival] = [(plan, "taylor1") for plan in (*cheapest, *even_change, even)]
    fitted: list[_Rival] = [(plan, "ridge") for plan in (*cheapest[:1], *even_change[:1])]
    return list(dict.fromkeys((*first, *fitted)))


def _config(trajectory: Trajectory, plan: tuple[int, ...], reuse: ReuseKind) -> Mapping[str, Any]:
    """The settings of a plan, with weights fitted for exactly its calls if it has any."""
    table = fit_schedule(trajectory, plan) if reuse == "ridge" else ()
    n_steps, positions = trajectory.n_steps, trajectory.positions
    has_noise_levels = positions[0] > positions[-1]
    return {
        "skip": format_range(skipped_of(plan, n_steps)),
        "reuse": reuse,
        "ridge": list(table),
        "steps": n_steps,
        "middle": round(positions[n_steps // 2], 6) if has_noise_levels else None,
    }


def space(context: SpaceContext) -> Space:
    """One plan for each number of computed steps, the gentlest first; none without a record."""
    plans = context.best_rivals or tuple(group[0] for group in rivals(context))
    if not plans:
        return Space()
    options = tuple(plan["skip"] for plan in plans)
    first = dict.fromkeys(
        min(plans, key=lambda p: abs(_share_computed(p) - share))["skip"] for share in _FIRST
    )
    return Space(
        knobs={"skip": Ranked(options)},
        first=tuple({"skip": skip} for skip in first),
        follows={"skip": {plan["skip"]: plan for plan in plans}},
    )


def _share_computed(plan: Mapping[str, Any]) -> float:
    n_skipped = len(Schedule(steps=plan["skip"]).active_steps(plan["steps"]))
    return 1 - n_skipped / float(plan["steps"])


PLANNED = Technique(
    name="planned",
    skill="cache",
    summary="skip the steps of a schedule planned for this target, predicted by fitted weights",
    exactness="lossy",
    requires=frozenset({Capability.STEP_OUTPUT}),
    writes=frozenset({Seam.STEP_OUTPUT}),
    phase=Phase.LOOP,
    config=PlannedConfig,
    install=install,
    space=space,
    rivals=rivals,
    identity={"skip": "none"},
    schedulable=frozenset({"steps"}),
    saves=lambda diagnosis: diagnosis.denoise_s,
    source="arXiv 2602.22654, 2602.20497",
)
