"""What can be searched in every sparse attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

from sol.diagnosis import Diagnosis
from sol.roles import Capability
from sol.skills.sparse_attention.density_plans import make_density_plans
from sol.space import Choice, Float, Int, Knob, Ranked, Space
from sol.technique import SpaceContext

_DENSITY = Float(0.08, 0.6, bolder="down")
_PUBLISHED_DENSITY, _CORRECTED_DENSITY = 0.25, 0.1
# What a GPU's kernel takes, and what a CPU's caches do.
_BLOCKS_CUDA, _BLOCKS_CPU = (64, 128), (144, 128, 72, 64, 48)
_WIDEST_EDGE = 0.5
"""Share of the steps that may be dense at the beginning."""
_PUBLISHED_EDGE = 0.2
_CORRECTIONS = (2, 3, 4, 6, 0)
"""From the most frequent to none."""
_LONGEST_REFRESH = 12
_MOST_DENSE_LAYERS = 2


def sparse_space(context: SpaceContext, own: Mapping[str, Knob], **first: Any) -> Space:
    """The knobs of `SparseSettings` and those of a technique.

    First settings: few blocks with corrections, which came closest to the dense video for what
    they save (README); then what is published: a quarter of the blocks after a fifth of the
    steps, with the means of the others and with nothing for them.

    Args:
        own: The technique's knobs.
        first: Where its first settings have them.
    """
    n_steps = context.workload.steps
    blocks = _blocks(context)
    knobs: dict[str, Knob] = {
        "density": _DENSITY,
        "correct_every": Ranked(_CORRECTIONS),
        "correct_order": Choice((1, 0)),
        "remainder": Choice(("mean", "drop")),
        "dense_first": Int(0, max(1, round(_WIDEST_EDGE * n_steps)), bolder="down"),
        "dense_layers": Int(0, _MOST_DENSE_LAYERS, bolder="down"),
        "order": Choice(("tiles", "hilbert", "morton", "raster")),
        "block": Choice(blocks),
        **_path_knob(context),
        **own,
    }
    corrected = {
        "density": _CORRECTED_DENSITY,
        "correct_every": 3,
        "correct_order": 1,
        "remainder": "drop",
        "dense_first": max(1, n_steps // 4),
        "dense_layers": 0,
        # Nothing to put in order and back, and of all orders the smallest error of what is left.
        "order": "raster",
        "block": blocks[0],
        **{name: knob.options[0] for name, knob in _path_knob(context).items()},
        **first,
    }
    published = corrected | {
        "density": _PUBLISHED_DENSITY,
        "correct_every": 0,
        "correct_order": 0,
        "order": "tiles",
        "dense_first": max(1, round(_PUBLISHED_EDGE * n_steps)),
        "dense_layers": 1,
    }
    return Space(knobs=knobs, first=(corrected, published | {"remainder": "mean"}, published))


def topk_space(context: SpaceContext) -> Space:
    """With the densities of each head, where the diagnosis says what they cost."""
    refresh = refresh_knob(context)
    plain = sparse_space(context, {"refresh": refresh}, refresh=refresh.high)
    attention = context.diagnosis.attention
    if attention is None:
        return plain
    plans = {round(plan.mean, 3): plan for plan in make_density_plans(attention, "mean")}
    densities = sorted({*plans, _PUBLISHED_DENSITY, _CORRECTED_DENSITY}, reverse=True)
    by_head = {density: {"densities": plan.densities} for density, plan in plans.items()}
    published = dict(plain.first[1])
    planned = tuple(published | {"density": density} for density in sorted(plans, reverse=True))
    return replace(
        plain,
        knobs={**plain.knobs, "density": Ranked(tuple(densities))},
        first=(plain.first[0], *planned[:2], *plain.first[1:]),
        follows={"density": by_head},
    )


def refresh_knob(context: SpaceContext) -> Int:
    """From every step to the published dozen."""
    return Int(1, min(_LONGEST_REFRESH, max(2, context.workload.steps // 2)), bolder="up")


def saves(diagnosis: Diagnosis) -> float:
    """All of self-attention but its linear layers."""
    return diagnosis.bare_attention_s


def _blocks(context: SpaceContext) -> tuple[int, ...]:
    """The sizes that are offered; those that divide the tokens of the grid come first."""
    is_cuda = Capability.CUDA in context.roles.capabilities
    offered = _BLOCKS_CUDA if is_cuda else _BLOCKS_CPU
    attention = context.diagnosis.attention
    n_tokens = prod(attention.sizes) if attention is not None else 0
    return tuple(sorted(offered, key=lambda block: n_tokens % block != 0))


def _path_knob(context: SpaceContext) -> dict[str, Choice]:
    """On CUDA two kernels are worth a trial; on a CPU FlexAttention never won (README)."""
    is_cuda = Capability.CUDA in context.roles.capabilities
    return {"path": Choice(("triton", "flex"))} if is_cuda else {}
