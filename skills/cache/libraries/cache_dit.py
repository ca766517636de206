"""cache-dit's DBCache: the first blocks decide whether those in the middle are left out.

github.com/vipshop/cache-dit. The first Fn blocks are computed in every call; if their residual
differs from that of the last computed call by less than a threshold (relative mean absolute
difference), the residual of the middle blocks is reused, or extrapolated by TaylorSeer (arXiv
2503.06923), and the last Bn blocks refine the result.

What the library leaves open is seen to here: it drops keys that it does not know, tells guidance
branches apart by counting calls, keeps its state until it is told otherwise, and leaves the
denoiser's children in another order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field
from torch import nn

from sol.attach import find_place, undo_all, undo_on_error
from sol.clock import Clock
from sol.errors import ConfigError, ConflictError
from sol.models.cache_backends import CACHE_DIT_PATTERNS
from sol.roles import Capability, DenoiserRoles, Roles
from sol.schedule import Schedule
from sol.skills.cache.libraries.step_gate import StepGate
from sol.skills.cache.libraries.work_count import (
    Work,
    count_denoiser_calls,
    count_parts,
    evidence_of,
)
from sol.space import Choice, Float, Int, Knob, Space
from sol.target import STRICT
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique

# The library lists the warm-up's steps in every call.
_MOST_STEPS = 10_000


@dataclass(frozen=True)
class CacheDitConfig:
    """Settings, by the library's names.

    State is separate for each guidance branch wherever the pipeline calls the denoiser for each.

    Attributes:
        Fn_compute_blocks: First blocks, computed in every call.
        Bn_compute_blocks: Last blocks, computed in every call.
        residual_diff_threshold: 0 leaves nothing out; 1 or more always reuses.
        max_warmup_steps: First steps that are always computed.
        max_continuous_cached_steps: Longest run of steps that reuse; -1 for no limit.
        taylorseer_order: Order of the series; 0 reuses the last residual as it is.
        cfg_diff_compute_separate: With a denoiser call for each branch, whether each decides for
            itself, or the conditional one for both.
    """

    __pydantic_config__ = STRICT

    Fn_compute_blocks: Annotated[int, Field(ge=1)] = 8
    Bn_compute_blocks: Annotated[int, Field(ge=0)] = 0
    residual_diff_threshold: Annotated[float, Field(ge=0.0, le=10.0)] = 0.08
    max_warmup_steps: Annotated[int, Field(ge=1, le=_MOST_STEPS)] = 8
    max_continuous_cached_steps: Annotated[int, Field(ge=-1)] = -1
    taylorseer_order: Annotated[int, Field(ge=0, le=2)] = 0
    cfg_diff_compute_separate: bool = True


def install(roles: Roles, config: CacheDitConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Puts the cache around the blocks of every denoiser.

    Raises:
        ConfigError: Fn and Bn leave no block in the middle.
        ConflictError: A denoiser is already in cache-dit's hands.
    """
    is_two_call = roles.guidance == "two_call"
    undos: list[Callable[[], None]] = []
    works: list[Work] = []
    with undo_on_error(undos):
        for denoiser in roles.denoisers:
            gate = StepGate(clock, schedule)
            works.append(_attach(denoiser, config, is_two_call, gate, undos))
    return Installed(lambda: undo_all(undos), lambda: evidence_of(works, "blocks"))


def _attach(
    denoiser: DenoiserRoles,
    config: CacheDitConfig,
    is_two_call: bool,
    gate: StepGate,
    undos: list[Callable[[], None]],
) -> Work:
    _check(denoiser, config)
    module: Any = denoiser.module
    undos.append(_keep_as_it_is(module))
    work = count_parts(denoiser.blocks, "sol.cache_dit", undos)
    undos.append(_enable(denoiser, config, is_two_call))

    def forget() -> None:
        gate.forget()
        with _quiet():
            _load_library().refresh_context(module)

    def steer() -> None:
        threshold = config.residual_diff_threshold if gate.is_open() else 0.0
        for name in module._context_names:
            context = module._context_manager.get_context(name)
            context.cache_config.residual_diff_threshold = threshold
            _set_position(context, gate.local_step, is_two_call, gate.clock.branch == "uncond")

    undos.append(gate.clock.on_video(forget))
    undos.append(count_denoiser_calls(module, work, "sol.cache_dit", steer))
    return work


def _check(denoiser: DenoiserRoles, config: CacheDitConfig) -> None:
    fn, bn, n_blocks = config.Fn_compute_blocks, config.Bn_compute_blocks, len(denoiser.blocks)
    if fn + bn >= n_blocks:
        raise ConfigError(
            f"cache_dit computes Fn_compute_blocks + Bn_compute_blocks = {fn} + {bn} blocks in "
            f"every call, and {denoiser.name} has {n_blocks}: nothing is left to skip. Lower them."
        )
    if getattr(denoiser.module, "_is_cached", False):
        raise ConflictError(
            f"cache_dit: cache-dit is already at work on {denoiser.name}: call "
            "cache_dit.disable_cache() on it first."
        )


def _set_position(context: Any, step: int, is_two_call: bool, is_second: bool) -> None:
    """Sets the library's counters to where the clock is; it adds the present call to them.

    It takes every second call for the other branch. That fails as soon as one is left out: without
    guidance, or by another technique.
    """
    context.executed_steps = step + (is_two_call and is_second)
    context.transformer_executed_steps = 2 * step + is_second if is_two_call else step


def _enable(
    denoiser: DenoiserRoles, config: CacheDitConfig, is_two_call: bool
) -> Callable[[], None]:
    module: Any = denoiser.module
    original = module.forward
    blocks, _ = find_place(module, denoiser.blocks[0])
    _, name = find_place(module, blocks)
    with _quiet():
        library = _load_library()
        adapter = library.BlockAdapter(
            transformer=module,
            blocks=blocks,
            blocks_name=name,
            forward_pattern=library.ForwardPattern[CACHE_DIT_PATTERNS[denoiser.block_form.names]],
            check_forward_pattern=False,
            has_separate_cfg=is_two_call,
        )
        library.enable_cache(
            adapter,
            cache_config=_library_config(library, config, is_two_call),
            calibrator_config=_calibrator_config(library, config, denoiser),
        )
    # Its own wrapper hides the signature, by which others find their arguments.
    module.forward.__wrapped__ = original

    def disable() -> None:
        # It binds what it puts back, which only a plain method allows; _keep_as_it_is puts back
        # the true one.
        module._original_forward = type(module).forward.__get__(module)
        with _quiet():
            library.disable_cache(adapter)

    return disable


def _library_config(library: Any, config: CacheDitConfig, is_two_call: bool) -> Any:
    return library.DBCacheConfig(
        Fn_compute_blocks=config.Fn_compute_blocks,
        Bn_compute_blocks=config.Bn_compute_blocks,
        residual_diff_threshold=config.residual_diff_threshold,
        max_warmup_steps=config.max_warmup_steps,
        max_continuous_cached_steps=config.max_continuous_cached_steps,
        enable_separate_cfg=is_two_call,
        cfg_diff_compute_separate=config.cfg_diff_compute_separate,
    )


def _calibrator_config(library: Any, config: CacheDitConfig, denoiser: DenoiserRoles) -> Any:
    if config.taylorseer_order == 0:
        return None
    return library.TaylorSeerCalibratorConfig(
        taylorseer_order=config.taylorseer_order,
        enable_encoder_calibrator=len(denoiser.block_form.names) > 1,
    )


def _keep_as_it_is(module: nn.Module) -> Callable[[], None]:
    """Puts back, when called, the forward and the order of the children.

    In every call the library takes the blocks away and adds them again, which makes them the last
    child.
    """
    own_forward = vars(module).get("forward")
    order = list(module._modules)

    def undo() -> None:
        vars(module).pop("forward", None)
        if own_forward is not None:
            vars(module)["forward"] = own_forward
        for name in order:
            module._modules[name] = module._modules.pop(name)

    return undo


def _load_library() -> Any:
    """cache-dit, without its patch of two methods of every logger (which transformers has set)."""
    patched = {name: vars(logging.Logger).get(name) for name in ("warning_once", "info_once")}
    import cache_dit

    for name, method in patched.items():
        if method is not None:
            setattr(logging.Logger, name, method)
    return cache_dit


@contextmanager
def _quiet() -> Iterator[None]:
    """No log lines from the library, which writes them to standard output."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def space(context: SpaceContext) -> Space:
    """Around the library's published settings, of which those that fit the denoiser are tried."""
    n_blocks = min((len(d.blocks) for d in context.roles.denoisers), default=0)
    latest_warmup = max(1, context.workload.steps // 3)
    if n_blocks < 2:  # noqa: PLR2004 - one to decide, one to leave out
        return Space()
    most_first = min(16, n_blocks - 1)
    knobs: dict[str, Knob] = {
        "Fn_compute_blocks": Int(1, most_first, bolder="down"),
        "residual_diff_threshold": Float(0.03, 0.4, log=True, bolder="up"),
        "max_warmup_steps": Int(1, latest_warmup, bolder="down"),
        "max_continuous_cached_steps": Int(1, 6, bolder="up"),
        "taylorseer_order": Choice((0, 1, 2)),
    }
    published = ((8, 0.08, 4, 6, 0), (4, 0.12, 4, 4, 0), (4, 0.12, 4, 4, 1))
    first = tuple(
        dict(
            zip(
                knobs,
                (min(fn, most_first), diff, min(warmup, latest_warmup), run, order),
                strict=True,
            )
        )
        for fn, diff, warmup, run, order in published
    )
    return Space(knobs=knobs, first=first)


CACHE_DIT = Technique(
    name="cache_dit",
    skill="cache",
    summary="leave out the middle blocks while the first ones change little (cache-dit DBCache)",
    exactness="lossy",
    requires=frozenset({Capability.CACHE_DIT}),
    # Its state has the shape of whole batches.
    reads=frozenset({Seam.GUIDANCE_BRANCH, Seam.TOKEN_SET}),
    writes=frozenset({Seam.STEP_OUTPUT, Seam.BLOCK_RESIDUAL}),
    phase=Phase.BLOCKS,
    config=CacheDitConfig,
    install=install,
    space=space,
    protects={"max_warmup_steps": "first"},
    identity={"residual_diff_threshold": 0.0},
    schedulable=frozenset({"steps"}),
    saves=lambda diagnosis: diagnosis.beyond_first_block_s,
    source="github.com/vipshop/cache-dit 1.5.3",
)
