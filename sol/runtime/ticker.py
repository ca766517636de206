"""Drives the clock from a running diffusers pipeline.

Every diffusers pipeline calls `scheduler.set_timesteps` once before its loop and `scheduler.step`
once after each step; those that call the denoiser once for each guidance branch name the branch
in `denoiser.cache_context`. These three are wrapped on the instance, nothing else is touched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sol.attach import Around, undo_all, wrap_method
from sol.clock import Branch, Clock

_BRANCHES: dict[str, Branch] = {"cond": "cond", "uncond": "uncond", "cond_uncond": "both"}


def start_ticking(pipeline: Any, denoisers: tuple[Any, ...], clock: Clock) -> Callable[[], None]:
    """Connects `clock` to the pipeline until the returned function is called."""
    scheduler = pipeline.scheduler
    undos = [
        wrap_method(scheduler, "set_timesteps", _beginning(pipeline, clock)),
        wrap_method(scheduler, "step", _advancing(clock)),
    ]
    undos += [
        wrap_method(denoiser, "cache_context", _branching(clock))
        for denoiser in denoisers
        if hasattr(denoiser, "cache_context")
    ]
    return lambda: undo_all(undos)


def _beginning(pipeline: Any, clock: Clock) -> Around:
    scheduler = pipeline.scheduler

    def set_timesteps(
        original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        result = original(*args, **kwargs)
        # Every diffusers pipeline with guidance has this property, and has set it by now.
        is_guided = bool(getattr(pipeline, "do_classifier_free_guidance", False))
        n_steps = len(scheduler.timesteps)
        clock.begin_video(n_steps, _sigmas(scheduler, n_steps), is_guided)
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


def _sigmas(scheduler: Any, n_steps: int) -> tuple[float, ...]:
    """Read once a video: on a GPU each reading of one would wait for the device."""
    sigmas = getattr(scheduler, "sigmas", None)
    return () if sigmas is None else tuple(float(sigma) for sigma in sigmas[:n_steps])
