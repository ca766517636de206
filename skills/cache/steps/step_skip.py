"""Skipping whole denoiser calls: what the step caches share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sol.attach import undo_all, wrap_forward
from sol.call_form import type_of
from sol.clock import Clock
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
    form = denoiser.form
    answer_type: type | None = None

    def around(forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        nonlocal answer_type
        latents = form.read(args, kwargs)
        predicted = cache.find_prediction(latents, latents)
        if predicted is not None:
            return form.answer(predicted, args, kwargs, answer_type)
        result = forward(*args, **kwargs)
        answer_type = type_of(result)
        cache.record(latents, form.read_answer(result))
        return result

    return wrap_forward(denoiser.module, name, around)
