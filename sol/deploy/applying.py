"""The three lines of a deployment: load a pipeline, load a recipe, apply it."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from sol.clock import Clock
from sol.deploy.consent import Consent, check_consent, parse_consent, refuse_starting_point
from sol.deploy.mismatch import parse_allow
from sol.deploy.place import describe_place, find_unknown, settle_target
from sol.deploy.stack import check_compatible, parse_stack, stack_of
from sol.deploy.workload import WorkloadCheck, accept_call
from sol.models.loading import load_model
from sol.recipe import Recipe
from sol.runtime.applied import Applied, check_free, install_stack
from sol.runtime.guard import Guard
from sol.runtime.plain_denoisers import copy_denoisers
from sol.technique import Stack

_LOG = logging.getLogger("sol")


def load_pipeline(
    model: str,
    device: str | None = None,
    dtype: str | None = None,
    *,
    revision: str | None = None,
    offload: str | None = None,
) -> Any:
    """The stock diffusers pipeline of a short name, a folder or a Hub id.

    Args:
        device: "cpu" or "cuda"; by default CUDA where there is one.
        dtype: "float32", "bfloat16" or "float16"; by default what the model is made for.
        revision: Branch, tag or commit of a Hub repository.
        offload: "model", "sequential" or "group", for a model larger than its GPU.

    Raises:
        ModelLoadError: It cannot be loaded, or will not fit; says what to do.
    """
    return load_model(model, device, dtype, revision, offload=offload).pipeline


def apply(
    pipeline: Any,
    recipe: Recipe | Sequence[Mapping[str, Any]],
    *,
    allow: Collection[str] = (),
    require: Consent = "gate",
    guard: bool = False,
) -> Applied:
    """Installs a recipe, or a bare stack, on a stock diffusers pipeline.

        pipe = sol.load_pipeline("pocket")
        applied = sol.apply(pipe, sol.load_recipe("recipe.yaml"))
        frames = pipe("a red circle moves up", height=64, ...).frames[0]

    The second line takes `applied.install_s` seconds, in which weights are digested and quantised;
    the third is slower for the first video, which compiles. What the recipe was measured with is
    in `recipe.evidence.cold_start` and said on the logger "sol" at INFO.

    Use it as a context manager, or call `undo()`; `evidence()` tells what was done so far,
    `record()` also what was overridden. One thread at a time may call the pipeline: a second one
    gets a ConflictError, and the first goes on.

    Args:
        recipe: A loaded recipe, or for experiments a list of mappings with the keys `technique`,
            and optionally `config` and `schedule`: nothing is known of it, nothing is checked.
        allow: Checks that need not hold, by their names: weights, revision, hardware, versions,
            workload. What differs all the same is in `overrides`.
        require: "approved" refuses what no person approved.
        guard: Makes a video without the stack, and counts it in `fallbacks`, where it leaves the
            recipe's workload, is not finite, or a technique did nothing in it. Without it, another
            workload is an error before anything is computed, and the rest is not looked at.

    Raises:
        TargetMismatchError: The recipe was measured on something else; all of it is listed.
        NoConsentError: Not accepted by the one that `require` names.
        ConflictError: The stack's techniques exclude one another.
        UnknownNameError: No such check, or no such value of `require`.
        SolError: See `install_stack`, and with a guard `copy_denoisers`.
    """
    start = time.perf_counter()
    allowed, consent = parse_allow(allow), parse_consent(require)
    refuse_starting_point(recipe)
    if isinstance(recipe, Recipe):
        check_consent(recipe, consent)
        applied = _apply_recipe(pipeline, recipe, allowed, guard)
    else:
        applied = _install(pipeline, parse_stack(recipe), guard)
    applied.install_s = time.perf_counter() - start
    _tell_start(applied, recipe)
    return applied


def _apply_recipe(pipeline: Any, recipe: Recipe, allowed: frozenset[str], guard: bool) -> Applied:
    place = describe_place(pipeline)
    overrides = settle_target(recipe, place, allowed)
    at_apply = overrides.get("workload", "")
    check = WorkloadCheck(pipeline, recipe.target.workload, allowed, overrides, at_apply)
    applied = _install(pipeline, stack_of(recipe), guard, check)
    applied.overrides, applied.unchecked = overrides, find_unknown(recipe, place)
    return applied


def _install(
    pipeline: Any, stack: Stack, guard: bool, check: WorkloadCheck | None = None
) -> Applied:
    check_compatible(stack)
    check_free(pipeline)
    plain = copy_denoisers(pipeline) if guard else None
    clock = Clock()
    if check is not None:
        # Before the techniques look at the video: this is the error that names the recipe.
        clock.on_video(partial(check.check_steps, clock), and_stage=False)
    applied = install_stack(pipeline, stack, clock)
    check_call = accept_call if check is None else check.check_call
    if plain is not None:
        applied.guard = Guard(pipeline, plain, clock, applied.evidence, check_call)
        applied.around = applied.guard.around
    elif check is not None:
        applied.around = check.around
    return applied


def _tell_start(applied: Applied, recipe: Recipe | Sequence[Mapping[str, Any]]) -> None:
    names = ", ".join(applied.installed)
    _LOG.info("Installed %s in %.2f s.", names, applied.install_s)
    for check, difference in applied.overrides.items():
        _LOG.info("Allowed to differ (%s): %s.", check, difference)
    start = recipe.evidence.cold_start if isinstance(recipe, Recipe) else None
    if start is not None:
        _LOG.info(
            "The first video takes %.2f s longer, as measured on %s with empty compile caches.",
            start.first_extra_s,
            start.device,
        )
