"""Settings that are known beforehand, as first trials on this target.

Those of recipes that were accepted on neighbouring targets come first. A recipe's member says what
was chosen; what belongs to its target, calibrated tables above all, stays behind: only its knobs
are taken, as far as this target's space has room for them.

After them come published settings. They are evidence of nothing here, so each is tried exactly as
it was published, or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
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
    """What a technique was accepted with on another target, or was published with.

    Attributes:
        origin: The file, for people.
        speedup: Of the recipe's whole stack, there; 1 where none was measured.
        source: Who published it; None for a member of a recipe that was accepted.
        stated: The keys of `config` that the source sets otherwise than the technique does.
    """

    technique: str
    config: Mapping[str, Any]
    origin: str
    speedup: float = 1.0
    source: str | None = None
    stated: tuple[str, ...] = ()

    @property
    def is_published(self) -> bool:
        """Whether nobody has measured it with Sol."""
        return self.source is not None

    @property
    def credit(self) -> str:
        """Where it comes from, for people."""
        return f"from recipe {self.origin}" if self.source is None else f"from {self.source}"


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
    """The offer with what is known beforehand before the technique's own first settings.

    What was accepted elsewhere comes before what was published, both in their order.
    """
    own = [precedent for precedent in precedents if precedent.technique == offer.technique]
    accepted = [precedent for precedent in own if not precedent.is_published]
    published = [precedent for precedent in own if precedent.is_published]
    space = _with_options(offer.space, published)
    kept: dict[str, tuple[dict[str, Any], str]] = {}
    for group in (accepted, published):
        kept |= _take(space, group, known=kept.keys())
    settings = [knobs for knobs, _ in kept.values()]
    rest = [first for first in space.first if _knobs_of(space, first) not in settings]
    return replace(
        offer,
        space=replace(space, first=(*settings, *rest)),
        origins=tuple(credit for _, credit in kept.values()),
    )


def _take(
    space: Space, precedents: Iterable[Precedent], known: Collection[str]
) -> dict[str, tuple[dict[str, Any], str]]:
    """The first few that this space has room for and that are not known yet, with their credit."""
    taken: dict[str, tuple[dict[str, Any], str]] = {}
    for precedent in precedents:
        knobs = _fit_whole(space, precedent)
        if knobs is not None and repr(knobs) not in (*known, *taken):
            taken[repr(knobs)] = (knobs, precedent.credit)
    return dict(list(taken.items())[:_MOST])


def _fit_whole(space: Space, precedent: Precedent) -> dict[str, Any] | None:
    """Knobs of a precedent; None where the space cannot say what its source did."""
    config = precedent.config
    if not precedent.is_published:
        return project(space, config)
    knobs = project(space, {**config, **_stand_ins(space, precedent)})
    if knobs is None:
        return None
    whole = space.complete(knobs)
    is_kept = all(_plain(whole.get(key)) == _plain(config[key]) for key in precedent.stated)
    return knobs if is_kept else None


def _stand_ins(space: Space, precedent: Precedent) -> dict[str, Any]:
    """The technique's own first values of knobs whose options lack its default."""
    own = space.first[0] if space.first else {}
    return {
        name: own[name]
        for name, knob in space.knobs.items()
        if name in own
        and name not in precedent.stated
        and _fit(knob, precedent.config.get(name)) is None
    }


def _with_options(space: Space, published: Iterable[Precedent]) -> Space:
    """With the options that were published for knobs whose options have no order."""
    knobs = dict(space.knobs)
    for precedent in published:
        for key in precedent.stated:
            knob, value = knobs.get(key), precedent.config[key]
            if isinstance(knob, Choice) and value not in knob.options:
                knobs[key] = Choice((*knob.options, value))
    return replace(space, knobs=knobs)


def _plain(value: Any) -> str:
    """A list and a tuple of the same numbers are the same setting."""
    return json.dumps(value, sort_keys=True)


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
