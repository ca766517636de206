"""diffusers' TaylorSeer: features of left-out steps are extrapolated by a Taylor series.

Liu et al., "From Reusing to Forecasting: Accelerating Diffusion Models with TaylorSeers", arXiv
2503.06923: F(t+k) = sum_i D^i F(t) k^i / i!, with D^i the i-th divided difference over the last
computed steps.

The library finds its modules by patterns of names, and the ones it brings match nothing on LTX and
Wan, silently. Here the patterns are made of the denoiser's roles, and a match of nothing is an
error.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from diffusers import TaylorSeerCacheConfig
from diffusers.hooks.taylorseer_cache import TaylorSeerCacheHook
from pydantic import Field
from torch import nn

from sol.clock import Clock
from sol.errors import ConfigError, NoEffectError
from sol.roles import Capability, DenoiserRoles, Roles
from sol.schedule import Schedule
from sol.skills.cache.libraries.diffusers_backend import Plan, install_diffusers_cache
from sol.skills.cache.libraries.step_gate import StepGate
from sol.space import Choice, Int, Ranked, Space
from sol.target import STRICT
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique

Sites = Literal["attention", "last_block"]

_REPEATED_GROUP = re.compile(r"\)[*+?{]")
_CHOICES = re.compile(r"[*+?{|]")
_MOST_CHOICES = 3


@dataclass(frozen=True)
class DiffusersTaylorSeerConfig:
    """Settings, most by the library's names.

    Attributes:
        sites: What is extrapolated: the outputs of all attentions (the rest of each block is
            computed), or the output of the last block (nothing else of the blocks is computed).
        cache_identifiers: Patterns of module names to extrapolate instead of `sites`; of regular
            expressions, those that take no time to match.
        cache_interval: One step in so many is computed; 1 computes all.
        disable_cache_before_step: First steps that are always computed.
        max_order: Order of the series; 0 repeats the last computed features.
        taylor_factors_dtype: In which the features are kept.
    """

    __pydantic_config__ = STRICT

    sites: Sites = "last_block"
    cache_identifiers: tuple[str, ...] = ()
    cache_interval: Annotated[int, Field(ge=1)] = 5
    disable_cache_before_step: Annotated[int, Field(ge=1)] = 3
    max_order: Annotated[int, Field(ge=0, le=3)] = 1
    taylor_factors_dtype: Literal["bfloat16", "float32"] = "bfloat16"

    def __post_init__(self) -> None:
        for pattern in self.cache_identifiers:
            _check_pattern(pattern)


def _check_pattern(pattern: str) -> None:
    """Refuses what may match for ever: "(a+)+b" does on a long name, and so would a recipe's."""
    shown = f"cache_identifiers: {pattern[:80]!r}"
    if _REPEATED_GROUP.search(pattern) or len(_CHOICES.findall(pattern)) > _MOST_CHOICES:
        raise ConfigError(
            f"{shown} may take for ever to match. Repeat no group, and use at most "
            f"{_MOST_CHOICES} of the signs * + ? | and {{."
        )
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"{shown} is no regular expression: {error}.") from error


@dataclass(frozen=True)
class _Modules:
    """Exact names of what is extrapolated and of what is left out because of it."""

    extrapolated: tuple[str, ...]
    left_out: tuple[str, ...]


def install(
    roles: Roles, config: DiffusersTaylorSeerConfig, schedule: Schedule, clock: Clock
) -> Installed:
    """Enables the cache on every denoiser. The clock, not the count of calls, is the step index.

    Raises:
        ConflictError: A denoiser already has one of diffusers' caches.
        NoEffectError: No module matches.
    """

    def make_plan(denoiser: DenoiserRoles) -> Plan:
        modules = _find_modules(denoiser, config)
        gate = StepGate(clock, schedule)

        def steer(hooks: Sequence[Any]) -> None:
            is_open = gate.is_open()
            for hook in hooks:
                state = hook.state_manager.get_state()
                state.current_step = gate.local_step - 1
                # A branch that has computed nothing yet has nothing to extrapolate.
                can_predict = is_open and state.last_update_step is not None
                hook.disable_cache_before_step = (
                    config.disable_cache_before_step if can_predict else sys.maxsize
                )

        parts = tuple(
            denoiser.module.get_submodule(name)
            for name in (*modules.extrapolated, *modules.left_out)
        )
        return Plan(_library_config(config, modules), TaylorSeerCacheHook, parts, gate, steer)

    name = DIFFUSERS_TAYLORSEER.name
    return install_diffusers_cache(roles, clock, name, "modules", make_plan)


def _find_modules(denoiser: DenoiserRoles, config: DiffusersTaylorSeerConfig) -> _Modules:
    if config.cache_identifiers:
        return _Modules(_matching(denoiser.module, config.cache_identifiers), ())
    blocks = _names_of(denoiser.module, denoiser.blocks)
    if config.sites == "last_block":
        return _Modules(blocks[-1:], blocks[:-1])
    attentions = (*denoiser.self_attention, *(site.module for site in denoiser.cross_attention))
    return _Modules(_names_of(denoiser.module, attentions), ())


def _matching(root: nn.Module, patterns: Sequence[str]) -> tuple[str, ...]:
    names = tuple(
        name
        for name, _ in root.named_modules()
        if any(re.fullmatch(pattern, name) for pattern in patterns)
    )
    if not names:
        raise NoEffectError(
            f"diffusers_taylorseer: no module name of {type(root).__name__} is matched in full by "
            f"{list(patterns)}, so nothing would be cached. Leave cache_identifiers out: the "
            "sites are then found by their roles."
        )
    return names


def _names_of(root: nn.Module, modules: Sequence[nn.Module]) -> tuple[str, ...]:
    wanted = {id(module) for module in modules}
    return tuple(name for name, module in root.named_modules() if id(module) in wanted)


def _library_config(config: DiffusersTaylorSeerConfig, modules: _Modules) -> Any:
    return TaylorSeerCacheConfig(
        cache_interval=config.cache_interval,
        disable_cache_before_step=config.disable_cache_before_step,
        max_order=config.max_order,
        taylor_factors_dtype=getattr(torch, config.taylor_factors_dtype),
        cache_identifiers=[re.escape(name) for name in modules.extrapolated],
        skip_predict_identifiers=[re.escape(name) for name in modules.left_out],
    )


def space(context: SpaceContext) -> Space:
    """Interval and order as published (interval 3-9, order 1-2), never longer than the run."""
    n_steps = context.workload.steps
    intervals = tuple(i for i in (2, 3, 4, 5, 6, 7, 9) if i <= max(2, n_steps // 2))
    latest_start = max(1, n_steps // 3)
    start = min(3, latest_start)
    return Space(
        knobs={
            "sites": Choice(("last_block", "attention")),
            "cache_interval": Ranked(intervals),
            "disable_cache_before_step": Int(1, latest_start, bolder="down"),
            "max_order": Choice((0, 1, 2)),
        },
        first=tuple(
            {
                "sites": "last_block",
                "cache_interval": interval,
                "disable_cache_before_step": start,
                "max_order": 1,
            }
            for interval in (5, 3, 2)
            if interval in intervals
        ),
    )


DIFFUSERS_TAYLORSEER = Technique(
    name="diffusers_taylorseer",
    skill="cache",
    summary="extrapolate features between computed steps by a Taylor series (diffusers)",
    exactness="lossy",
    requires=frozenset({Capability.DIFFUSERS_CACHE}),
    # Its state has the shape of whole batches.
    reads=frozenset({Seam.GUIDANCE_BRANCH, Seam.TOKEN_SET}),
    # It decides what is left of a step, and its hooks stand inside each block's compiled code.
    writes=frozenset(
        {Seam.STEP_OUTPUT, Seam.BLOCK_RESIDUAL, Seam.ATTENTION_OUTPUT, Seam.COMPILE_REGION}
    ),
    phase=Phase.BLOCKS,
    config=DiffusersTaylorSeerConfig,
    install=install,
    space=space,
    protects={"disable_cache_before_step": "first"},
    identity={"cache_interval": 1},
    schedulable=frozenset({"steps"}),
    saves=lambda diagnosis: diagnosis.denoise_s,
    source="diffusers TaylorSeerCache; arXiv 2503.06923",
)
