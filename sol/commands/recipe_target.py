"""Measuring workers for the target that a recipe names."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from sol.deploy import check_hardware, check_weights
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
        model=model or recipe.target.model.id,
        device=recipe.target.hardware.device,
        dtype=workload.dtype,
        overrides=asdict(workload),
        folder=folder,
    )


def check_worker(recipe: Recipe, info: WorkerInfo, allow_other_hardware: bool) -> None:
    """Refuses other weights and, unless allowed, another machine."""
    check_weights(recipe, info.model.weights_digest)
    if not allow_other_hardware:
        check_hardware(recipe, info.hardware)
