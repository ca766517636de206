"""A density for each head, by what leaving blocks out costs it in the diagnosis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean

from sol.diagnosis import AttentionSparsity
from sol.kernels.block_sparse_attention import Remainder

BUDGETS = (0.05, 0.1, 0.15, 0.2, 0.3)
"""Relative errors of a head's output, the strictest first."""

_DENSE = 1.0


@dataclass(frozen=True)
class DensityPlan:
    """Where each head may leave blocks out, at one budget.

    Attributes:
        budget: The relative error that no head's output exceeded in the mean of the diagnosis.
        densities: [block of the denoiser][head]; 1 is dense.
    """

    budget: float
    densities: tuple[tuple[float, ...], ...]

    @property
    def mean(self) -> float:
        """Over all heads: the share of the attention that is computed."""
        return fmean(chain(*self.densities))


def make_density_plans(
    attention: AttentionSparsity, remainder: Remainder, budgets: Sequence[float] = BUDGETS
) -> tuple[DensityPlan, ...]:
    """For each budget the smallest densities that keep it, the gentlest plan first.

    Plans are nested: what one leaves out of a head, all that come after it leave out as well.
    Plans that are dense everywhere, or the same as a stricter one, are left out.
    """
    plans: list[DensityPlan] = []
    seen = {tuple(tuple(_DENSE for _ in layer) for layer in attention.mass)}
    for budget in sorted(budgets):
        densities = tuple(
            tuple(_smallest(attention.densities, errors, budget) for errors in layer)
            for layer in attention.error[remainder]
        )
        if densities not in seen:
            seen.add(densities)
            plans.append(DensityPlan(budget, densities))
    return tuple(plans)


def _smallest(densities: Sequence[float], errors: Sequence[float], budget: float) -> float:
    """Of ascending densities the first whose error is within the budget."""
    pairs = zip(densities, errors, strict=True)
    return next((density for density, error in pairs if error <= budget), _DENSE)
