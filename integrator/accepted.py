"""Stacks of recipes that were accepted for neighbouring targets, as candidates of this search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sol.integrator.effects import Effect, key_of
from sol.integrator.known_settings import KnownSettings
from sol.search.warm_start import Precedent, project
from sol.space import Space

FEWEST_MEMBERS = 2
"""Of a stack: a setting alone is an agent's to measure."""


@dataclass(frozen=True)
class AcceptedStack:
    """What is left of a recipe's stack on this target.

    Attributes:
        knobs: By technique, those of its members that this target has room for.
        speedup: Of the recipe, where it was accepted.
        origin: The recipe, for people.
    """

    knobs: Mapping[str, Mapping[str, Any]]
    speedup: float
    origin: str

    @cached_property
    def key(self) -> frozenset[tuple[str, str]]:
        """That of the candidate with these members."""
        return frozenset(key_of(name, knobs, knobs) for name, knobs in self.knobs.items())

    def find_members(self, settings: KnownSettings) -> tuple[Effect, ...]:
        """Its members as they were measured here; none where one was not."""
        found = [settings.measured(key) for key in sorted(self.key)]
        members = tuple(effect for effect in found if effect is not None)
        return members if len(members) == len(found) else ()

    @property
    def praise(self) -> str:
        """For people."""
        return f"accepted before with {self.speedup:.2f}x ({self.origin}); "


def find_accepted(
    precedents: Iterable[Precedent], spaces: Mapping[str, Space]
) -> tuple[AcceptedStack, ...]:
    """One for each recipe of which at least two members can be searched here.

    What was only published is none: nobody has accepted it.
    """
    recipes: dict[str, list[Precedent]] = {}
    for precedent in precedents:
        if not precedent.is_published:
            recipes.setdefault(precedent.origin, []).append(precedent)
    found = (
        AcceptedStack(_fit(members, spaces), members[0].speedup, origin)
        for origin, members in recipes.items()
    )
    return tuple(stack for stack in found if len(stack.knobs) >= FEWEST_MEMBERS)


def _fit(
    members: Iterable[Precedent], spaces: Mapping[str, Space]
) -> dict[str, Mapping[str, Any]]:
    fitted = {
        member.technique: project(spaces[member.technique], member.config)
        for member in members
        if member.technique in spaces
    }
    return {name: knobs for name, knobs in fitted.items() if knobs is not None}
