"""What the diagnosis promises before the search: bounds, and what will not be tried and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sol.search.records import Offer
from sol.validator.report.model import NotTried, SkillBound, TimeShare


@dataclass(frozen=True)
class TechniqueBound:
    """The most that one technique can gain, as a speed-up end to end."""

    skill: str
    technique: str
    bound: float


@dataclass(frozen=True)
class Sensitivity:
    """What a technique does to the denoiser's output where it touches one part alone.

    Attributes:
        errors: Relative error of each part.
    """

    technique: str
    errors: tuple[float, ...]


@dataclass(frozen=True)
class SkillProspects:
    """What one agent starts with.

    Attributes:
        techniques: Those that will be tried and have a bound of their own.
    """

    bound: SkillBound
    techniques: tuple[TechniqueBound, ...]
    not_tried: tuple[NotTried, ...]
    sensitivities: tuple[Sensitivity, ...]


@dataclass(frozen=True)
class Prospects:
    """What all agents start with."""

    times: tuple[TimeShare, ...]
    skills: tuple[SkillProspects, ...]

    @property
    def bounds(self) -> tuple[SkillBound, ...]:
        """Of each skill."""
        return tuple(skill.bound for skill in self.skills)

    @property
    def techniques(self) -> tuple[TechniqueBound, ...]:
        """Of each technique with a bound of its own."""
        return tuple(bound for skill in self.skills for bound in skill.techniques)

    @property
    def not_tried(self) -> tuple[NotTried, ...]:
        """Each technique that is left out."""
        return tuple(item for skill in self.skills for item in skill.not_tried)

    @property
    def sensitivities(self) -> tuple[Sensitivity, ...]:
        """Of each technique whose parts were tried alone."""
        return tuple(item for skill in self.skills for item in skill.sensitivities)


def bounds_of(
    skill: str, offers: tuple[Offer, ...], left_out: Mapping[str, str]
) -> tuple[TechniqueBound, ...]:
    """Of the techniques that will be tried, as far as they have bounds of their own."""
    return tuple(
        TechniqueBound(skill, offer.technique, offer.bound)
        for offer in offers
        if offer.bound is not None and offer.technique not in left_out
    )
