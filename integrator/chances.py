"""How likely a stack that was never measured is to run and to hold, by what similar ones did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from math import prod

from sol.integrator.compose import Candidate
from sol.integrator.effects import Effect
from sol.integrator.interactions import Setting
from sol.space import Space, is_at_least_as_bold

_LEAST = 0.05
"""Chance of a pair that alone is left to be the reason: it may have been the machine."""
_AS_BOLD = 0.2
"""Of a stack that is as bold as one that fell short. (Seen on pocket: of 198 such stacks 39 held,
as errors cancel now and then.)"""

Settings = frozenset[Setting]


def chance_to_run(stack: Settings, ran: Sequence[Settings], failed: Sequence[Settings]) -> float:
    """By the pair that is most under suspicion.

    Of the pairs of a stack that failed, those that were in a stack which ran are cleared; each of
    the others is as likely as the next to be the reason.
    """
    cleared = {pair for other in ran for pair in _pairs_of(other)}
    suspects = [_pairs_of(other) - cleared for other in failed]
    chances = (
        prod(max(1 - 1 / len(pairs), _LEAST) for pairs in suspects if pair in pairs)
        for pair in _pairs_of(stack)
    )
    return min(chances, default=1.0)


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


def _pairs_of(stack: Settings) -> set[tuple[Setting, Setting]]:
    return set(combinations(sorted(stack), 2))
