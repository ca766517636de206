"""The shipped recipe, changed as after another run; and a scheduler of its own mind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sol.recipe import Member, Recipe, load_recipe
from sol.schedule import Schedule
from sol.scheduler_step import wrap_scheduler

SHIPPED = Path(__file__).parents[2] / "recipes" / "pocket" / "cpu-amd-epyc.yaml"


def shipped() -> Recipe:
    return load_recipe(SHIPPED)


def with_hardware(recipe: Recipe, **changes: Any) -> Recipe:
    return _with_target(recipe, hardware=replace(recipe.target.hardware, **changes))


def with_model(recipe: Recipe, **changes: Any) -> Recipe:
    return _with_target(recipe, model=replace(recipe.target.model, **changes))


def with_workload(recipe: Recipe, **changes: Any) -> Recipe:
    return _with_target(recipe, workload=replace(recipe.target.workload, **changes))


def with_versions(recipe: Recipe, **changes: str) -> Recipe:
    named = {name.replace("_", "-"): version for name, version in changes.items()}
    versions = {**recipe.provenance.versions, **named}
    return replace(recipe, provenance=replace(recipe.provenance, versions=versions))


def with_stack(recipe: Recipe, **configs: dict[str, Any]) -> Recipe:
    members = [Member(name, "cache", config, Schedule()) for name, config in configs.items()]
    return replace(recipe, stack=tuple(members))


def halve_steps(scheduler: Any) -> None:
    """Makes every other step only, whatever is asked of it."""

    def around(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return original(*args, **{**kwargs, "sigmas": kwargs["sigmas"][::2]})

    wrap_scheduler(scheduler, "set_timesteps", around)


def _with_target(recipe: Recipe, **changes: Any) -> Recipe:
    return replace(recipe, target=replace(recipe.target, **changes))
