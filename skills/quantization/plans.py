"""Which layers to quantise first: those that cover much time for little error.

A part is one kind of layer in one block. Its error was measured with nothing else quantised; the
errors of parts are taken as independent, so that their squares add. What a set of parts can gain
is the time inside of its layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot

from sol.skills.quantization.placement import BLOCK_KINDS, format_placement

_COVERAGES = (0.25, 0.4, 0.55, 0.7, 0.85, 1.0)
_LEAST_ERROR = 1e-9


@dataclass(frozen=True)
class Part:
    """One kind of layer in one block.

    Attributes:
        seconds: A video spends inside of it.
        error: Relative error of the denoiser's output with this part alone quantised.
    """

    kind: str
    block: int
    seconds: float
    error: float


@dataclass(frozen=True)
class Plan:
    """A set of parts, as a recipe has it.

    Attributes:
        coverage: Share of the time inside of all parts.
        error: Of the output, expected from those of its parts.
    """

    layers: str
    coverage: float
    error: float


def plan_layers(parts: Sequence[Part], n_blocks: int) -> tuple[Plan, ...]:
    """Nested plans from few layers to all, the gentlest first.

    Greedy by seconds per squared error, which is the best fractional knapsack at every size; a
    plan ends where it first covers one of a few shares of the time.
    """
    order = sorted(parts, key=lambda part: -part.seconds / max(part.error, _LEAST_ERROR) ** 2)
    total = sum(part.seconds for part in parts)
    plans: dict[str, Plan] = {}
    for coverage in _COVERAGES:
        taken = _take(order, coverage * total)
        plan = _plan(taken, n_blocks, total)
        plans.setdefault(plan.layers, plan)
    return tuple(plans.values())


def whole_kinds(kinds: Sequence[str]) -> str:
    """The placement of all layers of these kinds."""
    return "; ".join(f"{kind}=all" for kind in kinds)


def _take(order: Sequence[Part], seconds: float) -> list[Part]:
    taken: list[Part] = []
    covered = 0.0
    for part in order:
        if covered >= seconds * (1 - _LEAST_ERROR):
            break
        taken.append(part)
        covered += part.seconds
    return taken


def _plan(taken: Sequence[Part], n_blocks: int, total: float) -> Plan:
    blocks: Mapping[str, frozenset[int]] = {
        kind: frozenset(part.block for part in taken if part.kind == kind) for kind in BLOCK_KINDS
    }
    covered = sum(part.seconds for part in taken)
    return Plan(
        format_placement(blocks, n_blocks),
        covered / total if total else 0.0,
        hypot(*(part.error for part in taken)),
    )
