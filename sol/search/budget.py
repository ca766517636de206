"""How much measuring a run may do. One table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sol.errors import UnknownNameError


@dataclass(frozen=True)
class Budget:
    """Limits of one run.

    Time is the real limit. On two cores and the pocket model a trial takes ten to twenty seconds:
    quick is enough for the first settings of a dozen techniques, standard for all of them and for
    stacks of the best.

    Attributes:
        search_s: Seconds for the agents and the integrator; what comes before the first trial,
            the gate and the final timing come on top.
        trials_per_agent: After so many, an agent stops, however fast a trial is.
        calibration_prompts: Prompts on which a trial's quality is measured.
        trial_pairs: Interleaved pairs for a trial's speed.
        stacks: Further stacks that are measured, at most, once the search is over.
        final_pairs: Interleaved pairs for the speed in the recipe.
        further_prompts: Calibration prompts for a closer look at a stack before the gate.
    """

    name: str
    search_s: float
    trials_per_agent: int
    calibration_prompts: int
    trial_pairs: int
    stacks: int
    final_pairs: int
    further_prompts: int = 0


BUDGETS: Mapping[str, Budget] = MappingProxyType(
    {
        budget.name: budget
        for budget in (
            Budget("quick", 300.0, 60, 3, 3, 4, 9, 9),
            Budget("standard", 600.0, 200, 6, 3, 6, 15, 12),
            Budget("thorough", 7200.0, 1500, 10, 9, 24, 31, 14),
        )
    }
)


def get_budget(name: str) -> Budget:
    """The budget called `name`.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in BUDGETS:
        raise UnknownNameError("budget", name, BUDGETS)
    return BUDGETS[name]
