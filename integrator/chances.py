"""How likely a stack that was never measured is to run and to hold, by what similar ones did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from sol.integrator.compose import Candidate
from sol.integrator.effects import Effect
from sol.integrator.interactions import Setting
from sol.space import Space, is_at_least_as_bold

_SUSPECT = 0.3
"""For each stack that did not run and has a pair that was in none that did."""
_AS_BOLD = 0.2
"""Of a stack that is as bold as one that fell short. (Seen on pocket: of 198 such stacks 39 held,
as errors cancel now and then.)"""

Settings = frozenset[Setting]


def chance_to_run(stack: Settings, ran: Sequence[Settings], failed: Sequence[Settings]) -> float:
    """By the pair that is most under suspicion: in stacks that failed, and in none that ran."""
    suspicions = (
        sum(set(pair) <= other for other in failed)
        for pair in combinations(sorted(stack), 2)
        if not any(set(pair) <= other for other in ran)
    )
    return float(_SUSPECT ** max(suspicions, default=0))


def chance_to_hold(
    candidate: Candidate, fallen: Iterable[Sequence[Effect]], spaces: Mapping[str, Space]
) -> float:
    """Less where the stack is as bold as one that fell short.

    Args:
        fallen: The lossy members of each stack that fell short.
    """
    members = {effect.technique: effect for effect in candidate.members}
    is_as_bold = any(
        all(_covers(members.get(effect.technique), effect, spaces) for effect in lossy)
        for lossy in fallen
        if lossy
    )
    return _AS_BOLD if is_as_bold else 1.0


def _covers(effect: Effect | None, other: Effect, spaces: Mapping[str, Space]) -> bool:
    """Whether a setting is as bold as another of its technique."""
    if effect is None or effect.key == other.key:
        return effect is not None
    space = spaces.get(effect.technique)
    return space is not None and is_at_least_as_bold(space, effect.config, other.config)
