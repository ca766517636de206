"""diffusers' own step caches behind Sol's contract: what the three techniques share.

The library decides and reuses; this module sees to what it leaves open. State is dropped when a
video begins (the library keeps it after an interrupted one), schedules and warm-ups come from the
clock, skipped work is counted from outside, and undo leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from diffusers.hooks import HookRegistry
from torch import nn

from sol.attach import undo_all, undo_on_error
from sol.clock import Clock
from sol.errors import ConflictError, NoEffectError
from sol.roles import DenoiserRoles, Roles
from sol.skills.cache.libraries.step_gate import StepGate
from sol.skills.cache.libraries.work_count import (
    Work,
    count_denoiser_calls,
    count_parts,
    evidence_of,
)
from sol.technique import Installed

# What enable_cache and its hooks write to a module's own attributes.
_TRACES = ("forward", "_diffusers_hook", "_cache_config")


@dataclass(frozen=True)
class Plan:
    """How one of the library's caches is put on one denoiser.

    Attributes:
        settings: What `enable_cache` takes.
        hook_type: The library's hooks that hold state.
        parts: The modules whose computation it may leave out.
        gate: When it may reuse anything.
        steer: (hooks of `hook_type`) -> None, run before each denoiser call.
    """

    settings: object
    hook_type: type[Any]
    parts: Sequence[nn.Module]
    gate: StepGate
    steer: Callable[[Sequence[Any]], None]


def install_diffusers_cache(
    roles: Roles, clock: Clock, name: str, unit: str, make_plan: Callable[[DenoiserRoles], Plan]
) -> Installed:
    """Enables the planned cache on every denoiser.

    Args:
        name: The technique's.
        unit: What the plan's parts are, for the evidence ("blocks").

    Raises:
        ConflictError: A denoiser already has one of diffusers' caches.
        NoEffectError: The library attached no hook to a denoiser.
    """
    undos: list[Callable[[], None]] = []
    works: list[Work] = []
    with undo_on_error(undos):
        for denoiser in roles.denoisers:
            plan = make_plan(denoiser)
            works.append(_attach(denoiser.module, clock, name, plan, undos))
    return Installed(lambda: undo_all(undos), lambda: evidence_of(works, unit))


def find_hooks(module: nn.Module, hook_type: type[Any]) -> list[Any]:
    """The library's hooks of one type at work in `module`."""
    registries: list[Any] = [
        child._diffusers_hook for child in module.modules() if hasattr(child, "_diffusers_hook")
    ]
    return [hook for r in registries for hook in r.hooks.values() if isinstance(hook, hook_type)]


def _attach(
    module: Any, clock: Clock, name: str, plan: Plan, undos: list[Callable[[], None]]
) -> Work:
    if module.is_cache_enabled:
        raise ConflictError(
            f"{name}: {type(module).__name__} already has {type(module._cache_config).__name__}, "
            "and diffusers enables one cache at a time: call disable_cache() first, or leave one "
            "of the two out of the stack."
        )
    undos.append(_keep_attributes(module))
    work = count_parts(plan.parts, f"sol.{name}", undos)
    module.enable_cache(plan.settings)
    undos.append(module.disable_cache)
    hooks = find_hooks(module, plan.hook_type)
    if not hooks:
        raise NoEffectError(
            f"{name}: diffusers attached no {plan.hook_type.__name__} to {type(module).__name__}, "
            "so nothing would be cached."
        )

    def forget() -> None:
        plan.gate.forget()
        for hook in hooks:
            hook.state_manager.reset()

    undos.append(clock.on_video(forget))
    undos.append(count_denoiser_calls(module, work, f"sol.{name}", lambda: plan.steer(hooks)))
    return work


def _keep_attributes(root: nn.Module) -> Callable[[], None]:
    """Deletes, when called, the library's traces on modules that had none before."""
    absent = [
        (module, trace)
        for module in root.modules()
        for trace in _TRACES
        if trace not in vars(module)
    ]

    def undo() -> None:
        for module, trace in absent:
            vars(module).pop(trace, None)
        HookRegistry.check_if_exists_or_initialize(root).invalidate_child_registries_cache()
        if (root, "_diffusers_hook") in absent:
            vars(root).pop("_diffusers_hook", None)

    return undo
