"""diffusers' own step caches in a snippet."""

from __future__ import annotations

from collections.abc import Iterable

from sol.export.members import InexpressibleError, StackMember
from sol.export.snippet import FIND_BLOCKS, Piece
from sol.schedule import format_range

_SWITCH_CACHE = '''\
def switch_cache(pipe, step, timestep, tensors):
    """After a step: on in time to keep what the step before a window computes, off behind it."""
    if step in {last for _, last in WINDOWS}:
        pipe.transformer.disable_cache()
    if step + 2 in {first for first, _ in WINDOWS}:
        pipe.transformer.enable_cache(CACHE)
    return tensors
'''


def first_block(member: StackMember) -> Piece:
    """FirstBlockCache, which has no warm-up: it is switched on and off between the steps."""
    config = member.config
    if not config.threshold:
        raise InexpressibleError("a threshold of 0 reuses nothing")
    n_steps = member.workload.steps
    windows = _runs(member.active_steps & set(range(config.warmup, n_steps)))
    if not windows:
        raise InexpressibleError(f"it is active in none of the {n_steps} steps")
    return Piece(
        imports=("from diffusers import FirstBlockCacheConfig",),
        functions=(
            f"CACHE = FirstBlockCacheConfig(threshold={config.threshold!r})\n"
            "# First and last step of each run of steps in which it may reuse what it kept.\n"
            f"WINDOWS = {windows!r}\n",
            _SWITCH_CACHE,
        ),
        before_call=("switch_cache(pipe, -1, None, {})",),
        call_arguments=("callback_on_step_end=switch_cache",),
    )


def mag(member: StackMember) -> Piece:
    """MagCache, which counts the steps itself."""
    config = member.config
    _require_all_steps(member)
    if not config.threshold or not config.mag_ratios:
        raise InexpressibleError("without a threshold and ratios it reuses nothing")
    return Piece(
        imports=("from diffusers import MagCacheConfig",),
        install=(
            "transformer.enable_cache(",
            "    MagCacheConfig(",
            f"        threshold={config.threshold!r},",
            f"        max_skip_steps={config.max_skip_steps!r},",
            f"        retention_ratio={config.retention_ratio!r},",
            f"        num_inference_steps={member.workload.steps!r},",
            f"        mag_ratios={list(config.mag_ratios)!r},",
            "    )",
            ")",
        ),
    )


def taylorseer(member: StackMember) -> Piece:
    """TaylorSeer on the blocks; which modules are attentions differs by model."""
    config = member.config
    _require_all_steps(member)
    if config.cache_identifiers:
        names = f"{list(config.cache_identifiers)!r}, []"
    elif config.sites == "last_block":
        names = "[re.escape(blocks[-1])], [re.escape(name) for name in blocks[:-1]]"
    else:
        raise InexpressibleError("diffusers has no name for all attentions of every model")
    return Piece(
        imports=("import re", "from diffusers import TaylorSeerCacheConfig"),
        functions=(FIND_BLOCKS,),
        install=(
            "blocks = list(find_blocks(transformer))",
            f"extrapolated, left_out = {names}",
            "transformer.enable_cache(",
            "    TaylorSeerCacheConfig(",
            f"        cache_interval={config.cache_interval!r},",
            f"        disable_cache_before_step={config.disable_cache_before_step!r},",
            f"        max_order={config.max_order!r},",
            f"        taylor_factors_dtype=torch.{config.taylor_factors_dtype},",
            "        cache_identifiers=extrapolated,",
            "        skip_predict_identifiers=left_out,",
            "    )",
            ")",
        ),
    )


def _require_all_steps(member: StackMember) -> None:
    if len(member.active_steps) < member.workload.steps:
        raise InexpressibleError(
            f"diffusers cannot limit it to the steps {member.schedule.steps!r}: it counts its "
            "calls itself"
        )


def _runs(steps: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """First and last of each run of steps."""
    text = format_range(frozenset(steps))
    if text == "none":
        return ()
    ends = [part.partition("-") for part in text.split(",")]
    return tuple((int(first), int(last or first)) for first, _, last in ends)
