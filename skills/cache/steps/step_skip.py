"""Skipping whole denoiser calls: what the step caches share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from sol.attach import undo_all, wrap_forward
from sol.clock import Clock
from sol.forward_arguments import argument_reader
from sol.roles import DenoiserRoles, Roles
from sol.skills.cache.skipping.call_cache import CallCache, SkipPolicy, evidence_of
from sol.skills.cache.skipping.skip_settings import ReuseSettings
from sol.technique import Installed


def install_step_skip(
    roles: Roles,
    clock: Clock,
    name: str,
    settings: ReuseSettings,
    make_policy: Callable[[], SkipPolicy],
) -> Installed:
    """Puts one policy in front of each denoiser; it watches the latents.

    Args:
        name: The hook's name, unique on each denoiser.
        make_policy: Called once a denoiser: experts do not share state.
    """
    undos: list[Callable[[], None]] = []
    caches = [CallCache(make_policy(), settings, clock) for _ in roles.denoisers]
    for denoiser, cache in zip(roles.denoisers, caches, strict=True):
        undos.append(clock.on_video(cache.forget))
        undos.append(_attach(denoiser, name, cache))
    return Installed(lambda: undo_all(undos), lambda: evidence_of(caches))


def _attach(denoiser: DenoiserRoles, name: str, cache: CallCache) -> Callable[[], None]:
    read_latents = argument_reader(denoiser.module, denoiser.latents)
    output_type: type | None = None

    def around(forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        nonlocal output_type
        latents = read_latents(args, kwargs)
        predicted = cache.find_prediction(latents, latents)
        if predicted is not None:
            return like_output(predicted, output_type)
        result = forward(*args, **kwargs)
        output_type = None if isinstance(result, tuple) else type(result)
        cache.record(latents, result[0])
        return result

    return wrap_forward(denoiser.module, name, around)


def like_output(tensor: torch.Tensor, output_type: type | None) -> Any:
    """`tensor` in the form in which the denoiser last answered: a tuple, or diffusers' record."""
    return (tensor,) if output_type is None else output_type(sample=tensor)
