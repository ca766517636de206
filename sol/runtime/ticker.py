"""Drives the clock from a running diffusers pipeline.

Every diffusers pipeline calls `scheduler.set_timesteps` once before its loop and `scheduler.step`
once after each step. Most of those that call the denoiser once for each guidance branch name the
branch in `denoiser.cache_context`; the others call the conditional one first, and calls are told
apart by their order within a step. What is wrapped is wrapped on the instance, nothing else is
touched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sol.attach import Around, undo_all, wrap_method
from sol.clock import Branch, Clock
from sol.roles import Roles
from sol.scheduler_step import wrap_scheduler

_BRANCHES: dict[str, Branch] = {
    "cond": "cond",
    "uncond": "uncond",
    "cond_uncond": "both",
    "pred_cond": "cond",
    "pred_uncond": "uncond",
    "uncond_stg": "stg",
    "uncond_modality": "modality",
}


def start_ticking(pipeline: Any, roles: Roles, clock: Clock) -> Callable[[], None]:
    """Connects `clock` to the pipeline until the returned function is called."""
    scheduler = pipeline.scheduler
    undos = [
        wrap_scheduler(scheduler, "set_timesteps", _beginning(pipeline, roles, clock)),
        wrap_scheduler(scheduler, "step", _advancing(clock)),
    ]
    modules = [denoiser.module for denoiser in roles.denoisers]
    undos += [
        wrap_method(module, "cache_context", _branching(clock))
        for module in modules
        if hasattr(module, "cache_context")
    ]
    named = roles.names_branches and all(hasattr(module, "cache_context") for module in modules)
    if roles.guidance == "two_call" and not named:
        undos += _tell_apart_by_order(modules, clock)
    return lambda: undo_all(undos)


def _beginning(pipeline: Any, roles: Roles, clock: Clock) -> Around:
    scheduler = pipeline.scheduler

    def set_timesteps(
        original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        result = original(*args, **kwargs)
        n_steps = len(scheduler.timesteps)
        clock.begin_video(n_steps, _sigmas(scheduler, n_steps), roles.is_guided(pipeline))
        return result

    return set_timesteps


def _advancing(clock: Clock) -> Around:
    def step(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = original(*args, **kwargs)
        clock.advance()
        return result

    return step


def _branching(clock: Clock) -> Around:
    def cache_context(
        original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        name = kwargs["name"] if "name" in kwargs else args[0]
        clock.branch = _BRANCHES.get(name, "both")
        return original(*args, **kwargs)

    return cache_context


def _tell_apart_by_order(denoisers: list[Any], clock: Clock) -> list[Callable[[], None]]:
    """Before each call: the first of a step is the conditional one."""
    n_calls = 0

    def begin_step() -> None:
        nonlocal n_calls
        n_calls = 0

    def note_call(*_: Any) -> None:
        nonlocal n_calls
        clock.branch = "cond" if n_calls == 0 else "uncond"
        n_calls += 1

    return [
        clock.on_video(begin_step, and_stage=False),
        clock.on_step(begin_step),
        *(denoiser.register_forward_pre_hook(note_call).remove for denoiser in denoisers),
    ]


def _sigmas(scheduler: Any, n_steps: int) -> tuple[float, ...]:
    """Read once a video: on a GPU each reading of one would wait for the device."""
    sigmas = getattr(scheduler, "sigmas", None)
    return () if sigmas is None else tuple(float(sigma) for sigma in sigmas[:n_steps])
