"""Measuring workers for the target that a recipe names."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path

from sol.deploy import LOCAL, Place, settle_target
from sol.models.recipe_model import check_recipe_model
from sol.recipe import Recipe
from sol.search.records import WorkerInfo
from sol.search.worker import WorkerPlan


def plan_for(recipe: Recipe, model: str | None, folder: Path) -> WorkerPlan:
    """Loads the recipe's model with its workload.

    Args:
        model: Where the model is, if not where the recipe's id says.
        folder: For the baseline videos.
    """
    workload = recipe.target.workload
    return WorkerPlan(
        model=model or pinned_name(recipe),
        device=recipe.target.hardware.device,
        dtype=workload.dtype,
        overrides=asdict(workload),
        folder=folder,
    )


def pinned_name(recipe: Recipe) -> str:
    """What the recipe's model is loaded by: with the revision, where it came from the Hub.

    Raises:
        ModelLoadError: The recipe names a folder: those are opened only where the user says so.
    """
    model = recipe.target.model
    check_recipe_model(model)
    return model.id if model.revision == LOCAL else f"{model.id}@{model.revision}"


def check_worker(recipe: Recipe, info: WorkerInfo, allow: Collection[str]) -> dict[str, str]:
    """By check, what differs between the recipe's target and the worker's, and was allowed.

    Raises:
        TargetMismatchError: Something differs that was not allowed; all of it is listed.
        UnknownNameError: `allow` names no check.
    """
    model = info.model
    place = Place(
        weights_digest=model.weights_digest,
        revision=model.revision,
        hardware=info.hardware,
        versions=info.versions,
        dtype=info.workload.dtype,
    )
    return settle_target(recipe, place, allow)
