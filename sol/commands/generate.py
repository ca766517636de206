"""`sol generate`: one video, with or without a recipe."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sol.commands.recipe_target import pinned_name
from sol.deploy import CHECKS, apply
from sol.deploy.consent import check_consent, parse_consent
from sol.deploy.mismatch import Mismatch, parse_allow, settle
from sol.models.loading import LoadedModel, load_model
from sol.recipe import Recipe
from sol.runtime.render import Rendering, render
from sol.target import Workload
from sol.video_file import check_video_path, write_video


@dataclass(frozen=True)
class RecipeUse:
    """A recipe and how strictly it is taken; see `sol.apply`."""

    recipe: Recipe
    allow: Collection[str] = ()
    require: str = "gate"
    guard: bool = False


@dataclass(frozen=True)
class Generated:
    """Where the video is, and what making it took.

    Attributes:
        record: Of the applied recipe (`Applied.record`); empty without one.
    """

    path: Path
    seconds: float
    record: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """What `sol generate --json` prints."""
        return {"path": str(self.path), "seconds": self.seconds, "evidence": {}, **self.record}


def generate(
    prompt: str,
    seed: int,
    output: Path,
    model: str | None = None,
    use: RecipeUse | None = None,
    overrides: Mapping[str, Any] | None = None,
    offload: str | None = None,
) -> Generated:
    """Makes one video and writes it.

    Args:
        model: Needed without a recipe; with one, where its model is.
        overrides: Workload fields; with a recipe they must agree with it, unless it may differ.
        offload: Where the model is larger than its GPU; see `load_model`.

    Raises:
        TargetMismatchError: The recipe is for another model, machine or workload.
        NoConsentError: The recipe lacks the word of the one that is required.
        OutputError: The video cannot be written; known before it is made.
    """
    check_video_path(output)
    changes = {key: value for key, value in (overrides or {}).items() if value is not None}
    if use is None:
        loaded = load_model(model or "pocket", offload=offload)
        return _run(loaded, loaded.workload.with_overrides(changes), prompt, seed, output)
    target, consent = use.recipe.target, parse_consent(use.require)
    check_consent(use.recipe, consent)
    check_workload(target.workload, changes, use)
    workload = target.workload.with_overrides(changes)
    name, device = model or pinned_name(use.recipe), target.hardware.device
    loaded = load_model(name, device, workload.dtype, offload=offload)
    with apply(
        loaded.pipeline, use.recipe, allow=use.allow, require=consent, guard=use.guard
    ) as applied:
        made = _run(loaded, workload, prompt, seed, output)
        return Generated(made.path, made.seconds, applied.record())


def check_workload(workload: Workload, changes: Mapping[str, Any], use: RecipeUse) -> None:
    """Known before a model is loaded: a change that leaves the recipe's workload.

    Raises:
        TargetMismatchError: There is one, it is not allowed, and no guard takes care of it.
    """
    mismatches = [
        Mismatch(
            "workload",
            f"target.workload.{key}",
            str(getattr(workload, key)),
            str(value),
            "Leave it out, or tune for this workload.",
        )
        for key, value in changes.items()
        if getattr(workload, key) != value
    ]
    allowed = parse_allow(use.allow)
    settle(mismatches, frozenset(CHECKS) if use.guard else allowed)


def _run(
    loaded: LoadedModel, workload: Workload, prompt: str, seed: int, output: Path
) -> Generated:
    start = time.perf_counter()
    rendering: Rendering = render(loaded.pipeline, workload, prompt, seed)
    seconds = time.perf_counter() - start
    write_video(rendering.frames, output, workload.frame_rate)
    return Generated(output, seconds)
