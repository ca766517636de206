"""What the techniques of a skill offer on a target: their spaces, their bounds, their rivals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sol.search.records import Offer
from sol.skills.registry import TECHNIQUES
from sol.technique import SpaceContext, Technique, find_obstacle

Config = Mapping[str, Any]
Rivals = Mapping[str, tuple[tuple[Config, ...], ...]]
"""By technique: groups of configs of which each group's best is to be found by running them."""


def find_offers(
    skill: str, context: SpaceContext, best_rivals: Mapping[str, tuple[Config, ...]]
) -> tuple[tuple[Offer, ...], dict[str, str]]:
    """The techniques of a skill that apply, with their spaces; the others with the reason."""
    offers, obstacles = [], {}
    for technique in _techniques_of(skill):
        obstacle = find_obstacle(technique, context.roles)
        if obstacle:
            obstacles[technique.name] = obstacle
        else:
            best = best_rivals.get(technique.name, ())
            offers.append(_offer(technique, replace(context, best_rivals=best)))
    return tuple(offers), obstacles


def find_rivals(skill: str, context: SpaceContext) -> Rivals:
    """The rivals of the techniques that apply."""
    return {
        technique.name: technique.rivals(context)
        for technique in _techniques_of(skill)
        if technique.rivals is not None and find_obstacle(technique, context.roles) is None
    }


def _techniques_of(skill: str) -> list[Technique]:
    return [technique for technique in TECHNIQUES.values() if technique.skill == skill]


def _offer(technique: Technique, context: SpaceContext) -> Offer:
    diagnosis, saves = context.diagnosis, technique.saves
    bound = diagnosis.bound_if_free(saves(diagnosis)) if saves is not None else None
    return Offer(technique.name, technique.space(context), technique.exactness, bound)
