"""The looks of a gate: how many prompts each needs, and how sure it must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sol.validator.profile import Profile
from sol.validator.rules import Strictness
from sol.validator.spending import look_levels
from sol.validator.tail import allowed_failures

Phase = Literal["screening", "confirmation"]


@dataclass(frozen=True)
class LookPlan:
    """One look.

    Attributes:
        share: Of the last look's prompts, those seen by now.
        final: How sure the last look must be; this one's own where it is the last.
    """

    phase: Phase
    n_prompts: int
    share: float
    strictness: Strictness
    final: Strictness

    @property
    def is_last(self) -> bool:
        """Whether no look follows."""
        return self.share >= 1.0


def plan_screening(profile: Profile) -> LookPlan:
    """The one look of the screening: the share of the tail is taken as it is."""
    n = profile.screening.prompts
    strictness = Strictness(profile.screening.confidence, int(profile.tail * n))
    return LookPlan("screening", n, 1.0, strictness, strictness)


def plan_confirmation(profile: Profile, n_accepted: int) -> tuple[LookPlan, ...]:
    """The looks of a confirmation, with the error that Holm leaves to this stack.

    Holm (Scandinavian Journal of Statistics 1979): of `candidates` hypotheses that are taken one
    after the other, each may use the error divided by those that are not accepted yet.

    Args:
        n_accepted: Stacks of the run that were accepted before.

    Raises:
        ValueError: So many were accepted that none is left to test.
    """
    plan = profile.confirmation
    left = plan.candidates - n_accepted
    if left < 1:
        raise ValueError(f"{n_accepted} of {plan.candidates} candidates are accepted already.")
    alpha = (1.0 - profile.confidence) / left
    levels = look_levels(plan.looks, alpha, plan.spending)
    allowed = allowed_failures(plan.looks, profile.tail, alpha, plan.spending)
    strict = [
        Strictness(1.0 - level, number, counts_worst=True)
        for level, number in zip(levels, allowed, strict=True)
    ]
    return tuple(
        LookPlan("confirmation", n, n / plan.looks[-1], strictness, strict[-1])
        for n, strictness in zip(plan.looks, strict, strict=True)
    )
