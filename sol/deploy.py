"""The three lines of a deployment: load a pipeline, load a recipe, apply it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sol.clock import Clock
from sol.errors import ConfigError, ConflictError, TargetMismatchError
from sol.integrator.constraints import find_conflict
from sol.measure.hardware import probe
from sol.models.loading import digest_weights, load_model
from sol.recipe import Recipe
from sol.runtime.applied import Applied, install_stack
from sol.skills.registry import get_technique
from sol.target import Hardware
from sol.technique import Stack, StackItem
from sol.validation import explain, validate_plain

_STACK = TypeAdapter(tuple[StackItem, ...])


def load_pipeline(model: str, device: str | None = None, dtype: str | None = None) -> Any:
    """The stock diffusers pipeline of a short name, a folder or a Hub id.

    Args:
        device: "cpu" or "cuda"; by default CUDA where there is one.
        dtype: "float32", "bfloat16" or "float16"; by default what the model is made for.
    """
    return load_model(model, device, dtype).pipeline


def apply(
    pipeline: Any,
    recipe: Recipe | Sequence[Mapping[str, Any]],
    allow_other_hardware: bool = False,
) -> Applied:
    """Installs a recipe, or a bare stack, on a stock diffusers pipeline.

    Use it as a context manager, or call `undo()`; `evidence()` tells what was done so far.

    Args:
        recipe: A loaded recipe, or for experiments a list of mappings with the keys `technique`,
            and optionally `config` and `schedule`.
        allow_other_hardware: Apply a recipe that was measured on another machine: its speed-up
            is then not a promise.

    Raises:
        TargetMismatchError: The recipe is for another model or another machine.
        ConflictError: The stack's techniques exclude one another.
        SolError: See `install_stack`.
    """
    clock = Clock()
    if isinstance(recipe, Recipe):
        check_target(pipeline, recipe, allow_other_hardware)
        stack, n_steps = stack_of(recipe), recipe.target.workload.steps
        # Before the techniques look at the video: this is the error that names the recipe.
        clock.on_video(lambda: _check_steps(n_steps, clock.n_steps))
    else:
        stack = parse_stack(recipe)
    conflict = find_conflict([(get_technique(item.technique), item) for item in stack])
    if conflict:
        raise ConflictError(f"These techniques cannot run together: {conflict}. Remove one.")
    return install_stack(pipeline, stack, clock)


def stack_of(recipe: Recipe) -> Stack:
    """The recipe's members as a stack."""
    return tuple(StackItem(m.technique, m.config, m.schedule) for m in recipe.stack)


def parse_stack(items: Sequence[Mapping[str, Any]]) -> Stack:
    """A bare stack from plain data.

    Raises:
        ConfigError: Not a list of {technique, config, schedule} mappings.
    """
    try:
        return validate_plain(_STACK, [dict(item) for item in items])
    except ValidationError as error:
        raise ConfigError(f"Stack: {explain(error)}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"Stack: expected a list of mappings of plain data: {error}.") from error


def check_target(pipeline: Any, recipe: Recipe, allow_other_hardware: bool) -> None:
    """Refuses a pipeline or machine other than the recipe's.

    The weights are compared by the digest of the folder that the pipeline was loaded from; a
    pipeline that was built by hand has none, and only its machine is checked.
    """
    digest = find_weights_digest(pipeline)
    if digest is not None:
        check_weights(recipe, digest)
    if not allow_other_hardware:
        check_hardware(recipe, probe(str(pipeline.device.type)))


def check_weights(recipe: Recipe, digest: str) -> None:
    """Raises TargetMismatchError unless these are the weights of the recipe."""
    model = recipe.target.model
    if digest != model.weights_digest:
        raise TargetMismatchError(
            f"target.model: the recipe was measured on {model.id!r} "
            f"({model.weights_digest[:19]}…), this pipeline's weights are {digest[:19]}…. "
            "Load the recipe's model, or tune for this one."
        )


def check_hardware(recipe: Recipe, here: Hardware) -> None:
    """Raises TargetMismatchError unless this is the recipe's kind of machine."""
    wanted = recipe.target.hardware
    if (wanted.device, wanted.name) != (here.device, here.name):
        raise TargetMismatchError(
            f"target.hardware: the recipe was measured on {wanted.name} ({wanted.device}), this "
            f"is {here.name} ({here.device}). Tune here, or pass allow_other_hardware=True "
            "(--any-hardware) and measure with `sol bench`."
        )


def find_weights_digest(pipeline: Any) -> str | None:
    """The digest of the folder that a pipeline was loaded from, or None if it has none."""
    folder = Path(str(getattr(pipeline, "name_or_path", "") or ""))
    return digest_weights(folder) if (folder / "model_index.json").is_file() else None


def _check_steps(wanted: int, here: int) -> None:
    if wanted != here:
        raise TargetMismatchError(
            f"target.workload.steps: the recipe was measured with {wanted} steps, this call has "
            f"{here}. Pass num_inference_steps={wanted}, or tune for {here} steps."
        )
