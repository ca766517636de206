"""`sol generate`: one video, with or without a recipe."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sol.deploy import apply
from sol.errors import TargetMismatchError
from sol.models.loading import LoadedModel, load_model
from sol.recipe import Recipe
from sol.runtime.render import Rendering, render
from sol.target import Workload
from sol.video_file import check_video_path, write_video


@dataclass(frozen=True)
class Generated:
    """Where the video is, and what making it took."""

    path: Path
    seconds: float
    evidence: Mapping[str, Mapping[str, int]]


def generate(
    prompt: str,
    seed: int,
    output: Path,
    model: str | None = None,
    recipe: Recipe | None = None,
    overrides: Mapping[str, Any] | None = None,
    allow_other_hardware: bool = False,
) -> Generated:
    """Makes one video and writes it.

    Args:
        model: Needed without a recipe; with one, where its model is.
        overrides: Workload fields; with a recipe they must agree with it.

    Raises:
        TargetMismatchError: The recipe is for another model, machine or workload.
        OutputError: The video cannot be written; known before it is made.
    """
    check_video_path(output)
    changes = {key: value for key, value in (overrides or {}).items() if value is not None}
    if recipe is None:
        loaded = load_model(model or "pocket")
        return _run(loaded, loaded.workload.with_overrides(changes), prompt, seed, output)
    workload = recipe.target.workload
    check_workload(workload, changes)
    loaded = load_model(
        model or recipe.target.model.id, recipe.target.hardware.device, workload.dtype
    )
    with apply(loaded.pipeline, recipe, allow_other_hardware) as applied:
        made = _run(loaded, workload, prompt, seed, output)
        counts = {name: dict(e.counts) for name, e in applied.evidence().items()}
        return Generated(made.path, made.seconds, counts)


def check_workload(workload: Workload, changes: Mapping[str, Any]) -> None:
    """Raises TargetMismatchError where a change leaves the recipe's workload."""
    for key, value in changes.items():
        if getattr(workload, key) != value:
            raise TargetMismatchError(
                f"target.workload.{key}: the recipe was measured with {getattr(workload, key)}, "
                f"{value} was asked for. Leave it out, or tune for this workload."
            )


def _run(
    loaded: LoadedModel, workload: Workload, prompt: str, seed: int, output: Path
) -> Generated:
    start = time.perf_counter()
    rendering: Rendering = render(loaded.pipeline, workload, prompt, seed)
    seconds = time.perf_counter() - start
    write_video(rendering.frames, output, workload.frame_rate)
    return Generated(output, seconds, {})
