"""Drives the clock from a running diffusers pipeline.

Every diffusers pipeline calls `scheduler.set_timesteps` once before its loop and `scheduler.step`
once after each step; those that call the denoiser once for each guidance branch name the branch
in `denoiser.cache_context`. These three are wrapped on the instance, nothing else is touched.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from sol.attach import undo_all
from sol.clock import Branch, Clock

_BRANCHES: dict[str, Branch] = {"cond": "cond", "uncond": "uncond", "cond_uncond": "both"}


def start_ticking(pipeline: Any, denoisers: tuple[Any, ...], clock: Clock) -> Callable[[], None]:
    """Connects `clock` to the pipeline until the returned function is called."""
    scheduler = pipeline.scheduler
    undos = [
        _wrap(scheduler, "set_timesteps", lambda original: _beginning(pipeline, original, clock)),
        _wrap(scheduler, "step", lambda original: _advancing(original, clock)),
    ]
    undos += [
        _wrap(denoiser, "cache_context", lambda original: _branching(original, clock))
        for denoiser in denoisers
        if hasattr(denoiser, "cache_context")
    ]
    return lambda: undo_all(undos)


def _beginning(pipeline: Any, original: Callable[..., Any], clock: Clock) -> Callable[..., Any]:
    scheduler = pipeline.scheduler

    # wraps() keeps the signature, by which pipelines decide what to pass.
    @functools.wraps(original)
    def set_timesteps(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        # Every diffusers pipeline with guidance has this property, and has set it by now.
        is_guided = bool(getattr(pipeline, "do_classifier_free_guidance", False))
        n_steps = len(scheduler.timesteps)
        clock.begin_video(n_steps, _sigmas(scheduler, n_steps), is_guided)
        return result

    return set_timesteps


def _advancing(original: Callable[..., Any], clock: Clock) -> Callable[..., Any]:
    @functools.wraps(original)
    def step(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        clock.advance()
        return result

    return step


def _branching(original: Callable[..., Any], clock: Clock) -> Callable[..., Any]:
    @functools.wraps(original)
    def cache_context(name: str, *args: Any, **kwargs: Any) -> Any:
        clock.branch = _BRANCHES.get(name, "both")
        return original(name, *args, **kwargs)

    return cache_context


def _sigmas(scheduler: Any, n_steps: int) -> tuple[float, ...]:
    """Read once a video: on a GPU each reading of one would wait for the device."""
    sigmas = getattr(scheduler, "sigmas", None)
    return () if sigmas is None else tuple(float(sigma) for sigma in sigmas[:n_steps])


def _wrap(
    owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Callable[[], None]:
    had_own = name in vars(owner)
    original = getattr(owner, name)
    object.__setattr__(owner, name, make(original))
    if had_own:
        return lambda: object.__setattr__(owner, name, original)
    return lambda: object.__delattr__(owner, name)
