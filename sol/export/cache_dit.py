"""Recipes as a YAML file for cache-dit: `cache_dit.enable_cache(pipe, **load_configs(file))`.

Written for cache-dit 1.5.3. The file describes one DBCache. What Sol's own block caches do is a
DBCache too, as long as they reuse the last residual as it is: the same decisions from the same
numbers. Steps in which a technique must compute (schedule, tail) become the library's mask of
steps. Left out is what the library would do in its own way under the same name: it brings
attention back-ends of its own, and chooses itself which layers it quantises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sol.export.header import header_lines
from sol.export.members import (
    InexpressibleError,
    Omission,
    StackMember,
    express,
    members_of,
    require_something,
)
from sol.export.outcome import Export
from sol.recipe import Recipe
from sol.recipe_file import dump_plain

FORMAT = "cache-dit"
Section = Mapping[str, Any]

_OTHERWISE = "cache-dit has nothing that does the same"
_REASONS: Mapping[str, str] = {
    "attention_backend": "cache-dit has attention back-ends of its own under these names",
    "diffusers_mag": "cache-dit has no MagCache",
    "diffusers_taylorseer": "cache-dit extrapolates residuals of blocks, not their outputs",
    "fp8": "cache-dit chooses the layers that it quantises by rules of its own",
    "full_compile": "the file cannot ask for torch.compile: call it on the transformer",
    "int8_torchao": "cache-dit chooses the layers that it quantises by rules of its own",
    "regional_compile": "the file cannot ask for torch.compile: call compile_repeated_blocks()",
    "step_mask": "cache-dit computes at least the first block in every step",
    "planned": "cache-dit computes at least the first block in every step",
    "weight_only": "cache-dit chooses the layers that it quantises by rules of its own",
}
# Settings of what is expressed that have no counterpart.
_LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    "first_block": ("max_mb: cache-dit does not limit the memory of its cache",)
}
# From here on the library takes all calls for similar, without looking.
_ALWAYS_SIMILAR = 1.0


def export_cache_dit(recipe: Recipe) -> Export:
    """The YAML text.

    Raises:
        SolError: Nothing of the recipe can be said in this format.
    """
    expressed = express(members_of(recipe), _WAYS, _REASONS, _OTHERWISE)
    require_something(expressed, FORMAT)
    (name, section), *others = expressed.forms.items()
    omissions = (
        *expressed.omissions,
        *(Omission(other, f"the file has one cache, which is {name}") for other, _ in others),
        *(Omission(name, note) for note in _LEFT_OUT.get(name, ())),
    )
    usage = "cache_dit.enable_cache(pipe, **cache_dit.load_configs('this file'))"
    header = header_lines(recipe, "A cache for cache-dit 1.5.3", usage, (name,), omissions)
    body = dump_plain({"cache_config": section})
    return Export("\n".join((*(f"# {line}" for line in header), body)), (name,), omissions)


def _dbcache(member: StackMember) -> Section:
    config = member.config
    section: dict[str, Any] = {
        "Fn_compute_blocks": config.Fn_compute_blocks,
        "Bn_compute_blocks": config.Bn_compute_blocks,
        "residual_diff_threshold": config.residual_diff_threshold,
        "max_warmup_steps": config.max_warmup_steps,
        "max_continuous_cached_steps": config.max_continuous_cached_steps,
        "cfg_diff_compute_separate": config.cfg_diff_compute_separate,
    }
    if config.taylorseer_order:
        section |= {
            "enable_taylorseer": True,
            "enable_encoder_taylorseer": False,
            "taylorseer_order": config.taylorseer_order,
        }
    return {**section, **_steps(member, config.max_warmup_steps), **_branches(member)}


def _first_block(member: StackMember) -> Section:
    config = member.config
    if config.reuse != "residual":
        raise InexpressibleError(f"cache-dit does not predict by {config.reuse!r} as Sol does")
    _check_threshold(config.threshold)
    section: Section = {
        "Fn_compute_blocks": config.front,
        "Bn_compute_blocks": config.back,
        "residual_diff_threshold": config.threshold,
        "max_warmup_steps": config.warmup,
        "max_continuous_cached_steps": config.max_skips,
        "cfg_diff_compute_separate": config.per_branch,
    }
    return {**section, **_steps(member, config.warmup, config.tail), **_branches(member)}


def _diffusers_first_block(member: StackMember) -> Section:
    config = member.config
    _check_threshold(config.threshold)
    section: Section = {
        "Fn_compute_blocks": 1,
        "Bn_compute_blocks": 0,
        "residual_diff_threshold": config.threshold,
        "max_warmup_steps": config.warmup,
        "max_continuous_cached_steps": -1,
        "cfg_diff_compute_separate": True,
    }
    return {**section, **_steps(member, config.warmup), **_branches(member)}


def _check_threshold(threshold: float) -> None:
    if threshold >= _ALWAYS_SIMILAR:
        raise InexpressibleError(f"cache-dit takes a threshold of {threshold} for 'always reuse'")


def _steps(member: StackMember, warmup: int, tail: int = 0) -> Section:
    """The mask of the steps that must be computed, where the warm-up does not say it all."""
    n_steps = member.workload.steps
    may_reuse = member.active_steps & set(range(warmup, n_steps - tail))
    if may_reuse == set(range(warmup, n_steps)):
        return {}
    mask = [int(step not in may_reuse) for step in range(n_steps)]
    return {"num_inference_steps": n_steps, "steps_computation_mask": mask}


def _branches(member: StackMember) -> Section:
    """Without guidance there is one call a step, whatever the library expects of the model."""
    return {"enable_separate_cfg": False} if member.workload.guidance_scale <= 1 else {}


_WAYS: Mapping[str, Callable[[StackMember], Section]] = {
    "cache_dit": _dbcache,
    "first_block": _first_block,
    "diffusers_first_block": _diffusers_first_block,
}
