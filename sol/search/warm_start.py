"""Settings that were accepted on neighbouring targets, as first trials on this one.

A recipe's member says what was chosen; what belongs to its target, calibrated tables above all,
stays behind: only its knobs are taken, as far as this target's space has room for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sol.errors import RecipeError
from sol.recipe import Recipe, load_recipe
from sol.search.records import Offer
from sol.space import Choice, Float, Int, Knob, Ranked, Space
from sol.target import Target

_MOST = 2
"""Settings a technique: a third neighbour says little, and every first setting is measured."""


@dataclass(frozen=True)
class Precedent:
    """What a technique was accepted with on another target.

    Attributes:
        origin: The recipe, for people.
        speedup: Of the recipe's whole stack, there.
    """

    technique: str
    config: Mapping[str, Any]
    origin: str
    speedup: float = 1.0


@dataclass(frozen=True)
class Precedents:
    """What recipes tell, the nearest first; and those that cannot be read, with the reason."""

    found: tuple[Precedent, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)


def find_precedents(target: Target, recipes: Mapping[str, Path]) -> Precedents:
    """The members of accepted recipes for the target's family of models.

    Args:
        recipes: Files by the name that people know them by; of equally near ones the first counts.
    """
    readable: list[tuple[str, Recipe]] = []
    skipped: dict[str, str] = {}
    for origin, path in recipes.items():
        try:
            readable.append((origin, load_recipe(path)))
        except RecipeError as error:
            skipped[origin] = str(error)
    near = [item for item in readable if _is_neighbour(target, item[1])]
    near.sort(key=lambda item: _distance(target, item[1].target))
    found = (
        Precedent(member.technique, member.config, origin, recipe.evidence.speedup.median)
        for origin, recipe in near
        for member in recipe.stack
    )
    return Precedents(tuple(found), skipped)


def put_first(offer: Offer, precedents: Iterable[Precedent]) -> Offer:
    """The offer with what was accepted elsewhere before the technique's own first settings."""
    own = [precedent for precedent in precedents if precedent.technique == offer.technique]
    origins: dict[str, str] = {}
    settings: list[Mapping[str, Any]] = []
    for precedent in own:
        knobs = project(offer.space, precedent.config)
        if knobs is not None and repr(knobs) not in origins:
            origins[repr(knobs)] = f"from recipe {precedent.origin}"
            settings.append(knobs)
    kept = settings[:_MOST]
    rest = [first for first in offer.space.first if _knobs_of(offer.space, first) not in kept]
    return replace(
        offer,
        space=replace(offer.space, first=(*kept, *rest)),
        origins=tuple(origins[repr(knobs)] for knobs in kept),
    )


def project(space: Space, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The knobs of a config of another target, moved into the ranges of this space.

    None where one is missing, or is none of the options.
    """
    if not all(name in config for name in space.knobs):
        return None
    knobs = {name: _fit(knob, config[name]) for name, knob in space.knobs.items()}
    return None if None in knobs.values() else knobs


def _fit(knob: Knob, value: Any) -> Any:
    """The nearest value that the knob can have; None where none is near."""
    if isinstance(knob, Choice | Ranked):
        return value if value in knob.options else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    inside = min(max(value, knob.low), knob.high)
    return _as_kind(knob, inside)


def _as_kind(knob: Float | Int, value: float) -> float | int:
    return round(value) if isinstance(knob, Int) else float(value)


def _knobs_of(space: Space, first: Mapping[str, Any]) -> dict[str, Any]:
    return {name: first[name] for name in space.knobs if name in first}


def _is_neighbour(target: Target, recipe: Recipe) -> bool:
    return (
        recipe.target.model.family == target.model.family and recipe.approval.status != "rejected"
    )


def _distance(target: Target, other: Target) -> tuple[bool, ...]:
    """Nearest first: the same weights; the same kind of device; the same machine; the same use."""
    return (
        other.model.weights_digest != target.model.weights_digest,
        other.hardware.device != target.hardware.device,
        other.hardware.name != target.hardware.name,
        other.workload != target.workload,
    )
