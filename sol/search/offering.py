"""What the techniques of a skill offer on a target: their spaces, their bounds, their rivals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sol.search.records import Offer
from sol.skills.registry import TECHNIQUES
from sol.technique import SpaceContext, Technique, find_obstacle

Config = Mapping[str, Any]
Rivals = Mapping[str, tuple[tuple[Config, ...], ...]]
"""By technique: groups of configs of which each group's best is to be found by running them."""
FindFlaw = Callable[[Technique, Config], str | None]


@dataclass(frozen=True)
class TriedOut:
    """What was run before the spaces are made, by technique; see `Technique` for both.

    Attributes:
        best_rivals: Of each group of rivals the best.
        part_errors: Of each part the error of the denoiser's output.
    """

    best_rivals: Mapping[str, tuple[Config, ...]] = field(default_factory=dict)
    part_errors: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def find_offers(
    skill: str,
    context: SpaceContext,
    tried: TriedOut,
    find_flaw: FindFlaw = lambda technique, config: None,
) -> tuple[tuple[Offer, ...], dict[str, str]]:
    """The techniques of a skill that apply, with their spaces; the others with the reason.

    Args:
        find_flaw: Tries a technique out with a config where that it applies is not enough.
    """
    offers, obstacles = [], {}
    for technique in _techniques_of(skill):
        obstacle = find_obstacle(technique, context.roles)
        if not obstacle:
            offer = _offer(technique, _with(context, tried, technique.name))
            obstacle = find_flaw(technique, next(iter(offer.space.first), {}))
        if obstacle:
            obstacles[technique.name] = obstacle
        else:
            offers.append(offer)
    return tuple(offers), obstacles


def find_rivals(skill: str, context: SpaceContext) -> Rivals:
    """The rivals of the techniques that apply."""
    return {
        technique.name: technique.rivals(context)
        for technique in _techniques_of(skill)
        if technique.rivals is not None and find_obstacle(technique, context.roles) is None
    }


def find_parts(skill: str, context: SpaceContext) -> Mapping[str, tuple[Config, ...]]:
    """By technique that applies, the configs that each touch one part."""
    return {
        technique.name: technique.parts(context)
        for technique in _techniques_of(skill)
        if technique.parts is not None and find_obstacle(technique, context.roles) is None
    }


def _with(context: SpaceContext, tried: TriedOut, technique: str) -> SpaceContext:
    return replace(
        context,
        best_rivals=tried.best_rivals.get(technique, ()),
        part_errors=tried.part_errors.get(technique, ()),
    )


def _techniques_of(skill: str) -> list[Technique]:
    return [technique for technique in TECHNIQUES.values() if technique.skill == skill]


def _offer(technique: Technique, context: SpaceContext) -> Offer:
    diagnosis, saves = context.diagnosis, technique.saves
    bound = diagnosis.bound_if_free(saves(diagnosis)) if saves is not None else None
    return Offer(technique.name, technique.space(context), technique.exactness, bound)
