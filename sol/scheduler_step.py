"""A running pipeline, watched at its scheduler: every diffusers pipeline calls `scheduler.step`
once after each step, with the guided prediction and the latents.

Some pipelines copy their scheduler for a second sequence (LTX-2 for its sound). A copy is free of
what was put around the original's methods.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch

from sol.attach import Around, set_attribute


class _OwnMethod:
    """A method of one object with something around it; a deep copy has the plain one.

    Keeps the method's signature: by it pipelines decide what to pass.
    """

    def __init__(self, owner: Any, name: str, around: Around) -> None:
        self._owner, self._name, self._around = owner, name, around
        self._original = getattr(owner, name)
        # Not its attributes: it may be such a method itself.
        functools.update_wrapper(self, self._original, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._around(self._original, args, kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return getattr(type(self._owner), self._name).__get__(memo[id(self._owner)])


def wrap_scheduler(scheduler: Any, name: str, around: Around) -> Callable[[], None]:
    """Runs `around` instead of a method of this scheduler, until undone."""
    return set_attribute(scheduler, name, _OwnMethod(scheduler, name, around))


def before_step(
    scheduler: Any, note: Callable[[torch.Tensor, Any, torch.Tensor], None]
) -> Callable[[], None]:
    """Shows `note` each step's guided prediction, timestep and latents, until undone."""

    def step(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = inspect.signature(original).bind(*args, **kwargs).arguments
        note(given["model_output"], given["timestep"], given["sample"])
        return original(*args, **kwargs)

    return wrap_scheduler(scheduler, "step", step)


def after_step(
    scheduler: Any, change: Callable[[int, torch.Tensor], torch.Tensor]
) -> Callable[[], None]:
    """Replaces the latents that each step leads to, until undone.

    Args:
        change: (index of the step in its video, latents) -> the latents to go on with.
    """
    n_steps = 0

    def begin(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        nonlocal n_steps
        n_steps = 0
        return original(*args, **kwargs)

    def step(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        nonlocal n_steps
        result = original(*args, **kwargs)
        n_steps += 1
        changed = change(n_steps - 1, result[0])
        if isinstance(result, tuple):
            return (changed, *result[1:])
        result.prev_sample = changed
        return result

    undos = (
        wrap_scheduler(scheduler, "set_timesteps", begin),
        wrap_scheduler(scheduler, "step", step),
    )

    def undo() -> None:
        for each in reversed(undos):
            each()

    return undo
