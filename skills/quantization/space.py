"""What can be searched in every quantization technique."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sol.roles import DenoiserRoles
from sol.skills.quantization.placement import BLOCK_KINDS
from sol.skills.quantization.plans import Part, Plan, plan_layers, whole_kinds
from sol.space import Choice, Int, Knob, Ranked, Space
from sol.technique import SpaceContext

_SMOOTHING = (0.0, 0.5)
_RANKS = (64, 32, 16, 0)
_WIDEST_EDGE = 0.25
"""Share of the steps that may keep full precision at either end."""


def parts(context: SpaceContext) -> tuple[Mapping[str, Any], ...]:
    """One config for each kind of layer in each block, to be tried alone."""
    return tuple({"layers": f"{kind}={block}"} for kind, block in _units(context))


def quantization_space(context: SpaceContext, own: Mapping[str, Knob] | None = None) -> Space:
    """Placements by sensitivity where it was measured, and the knobs of `QuantizationSettings`.

    Args:
        own: Further knobs of a technique; each starts at its first option.
    """
    placements = tuple(plan.layers for plan in find_plans(context)) or _kind_by_kind(context)
    widest = max(1, round(_WIDEST_EDGE * context.workload.steps))
    knobs: dict[str, Knob] = {
        "layers": Ranked(placements),
        "full_first": Int(0, widest, bolder="down"),
        "full_last": Int(0, widest, bolder="down"),
        "smooth": Choice(_SMOOTHING),
        "rank": Ranked(_RANKS),
        **_branch_knob(context),
        **(own or {}),
    }
    plain = {"full_first": 0, "full_last": 0, "smooth": 0.0, "rank": 0}
    start = plain | {
        name: _first_option(knob) for name, knob in knobs.items() if name not in plain
    }
    guarded = start | {"full_first": min(2, widest), "full_last": min(1, widest)}
    middle = placements[len(placements) // 2]
    first = (
        start | {"layers": placements[-1]},
        guarded | {"layers": placements[-1]},
        start | {"layers": middle},
    )
    return Space(knobs=knobs, first=first)


def find_plans(context: SpaceContext) -> tuple[Plan, ...]:
    """Placements by the measured sensitivity; none where it was not measured."""
    units = _units(context)
    if len(context.part_errors) != len(units):
        return ()
    denoiser = context.roles.denoisers[0]
    seconds = context.diagnosis.part_s
    found = [
        Part(kind, block, seconds.get(kind, 0.0) / _n_blocks_with(denoiser, kind), error)
        for (kind, block), error in zip(units, context.part_errors, strict=True)
    ]
    return plan_layers(found, len(denoiser.blocks))


def _units(context: SpaceContext) -> list[tuple[str, int]]:
    """Kinds and blocks of the first denoiser: experts have the same blocks."""
    denoiser = context.roles.denoisers[0]
    return [
        (kind, block)
        for kind in BLOCK_KINDS
        for block, layers in enumerate(denoiser.linears_by_kind[kind])
        if layers
    ]


def _n_blocks_with(denoiser: DenoiserRoles, kind: str) -> int:
    return sum(1 for layers in denoiser.linears_by_kind[kind] if layers)


def _kind_by_kind(context: SpaceContext) -> tuple[str, ...]:
    """Feed-forward first, then everything: the usual placements."""
    present = list(dict.fromkeys(kind for kind, _ in _units(context)))
    return tuple(dict.fromkeys((whole_kinds(present[:1]), whole_kinds(present))))


def _branch_knob(context: SpaceContext) -> dict[str, Knob]:
    if context.roles.guidance != "two_call":
        return {}
    return {"branch": Choice(("both", "cond"))}


def _first_option(knob: Knob) -> Any:
    return knob.options[0] if isinstance(knob, Choice | Ranked) else knob.low
