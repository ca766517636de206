"""What an export is made of: each member of a stack is expressed, or left out with a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sol.errors import SolError
from sol.recipe import Recipe
from sol.schedule import Schedule
from sol.skills.registry import get_technique
from sol.target import Workload
from sol.technique import Technique, check_schedule, parse_config

Form = TypeVar("Form")


@dataclass(frozen=True)
class StackMember:
    """One technique of a recipe, its settings checked, and the video that it is for."""

    technique: Technique
    config: Any
    schedule: Schedule
    workload: Workload

    @property
    def active_steps(self) -> frozenset[int]:
        """The denoising steps in which its schedule lets it work."""
        return self.schedule.active_steps(self.workload.steps)


@dataclass(frozen=True)
class Omission:
    """What the other format cannot say, of one technique or of one of its settings."""

    technique: str
    reason: str


@dataclass(frozen=True)
class Expressed(Generic[Form]):
    """The members that the other format can say, in order of installation, and the rest."""

    forms: Mapping[str, Form]
    omissions: tuple[Omission, ...]


class InexpressibleError(Exception):
    """Raised by what expresses a member, with the reason why the format cannot."""


def members_of(recipe: Recipe) -> tuple[StackMember, ...]:
    """The recipe's stack in order of installation.

    Raises:
        UnknownNameError: A technique that this version does not have.
        ConfigError: A setting or schedule that its technique does not allow.
    """
    members = [
        StackMember(
            technique := get_technique(member.technique),
            parse_config(technique, member.config),
            member.schedule,
            recipe.target.workload,
        )
        for member in recipe.stack
    ]
    for member in members:
        check_schedule(member.technique, member.schedule)
    return tuple(sorted(members, key=lambda member: member.technique.phase))


def express(
    members: Sequence[StackMember],
    ways: Mapping[str, Callable[[StackMember], Form]],
    reasons: Mapping[str, str],
    otherwise: str,
) -> Expressed[Form]:
    """Expresses each member in its technique's way.

    Args:
        ways: By technique, how it is expressed; raises InexpressibleError where it cannot be.
        reasons: Of techniques without a way, why; `otherwise` of the others.
    """
    forms: dict[str, Form] = {}
    omissions: list[Omission] = []
    for member in members:
        name = member.technique.name
        if name not in ways:
            omissions.append(Omission(name, reasons.get(name, otherwise)))
            continue
        try:
            forms[name] = ways[name](member)
        except InexpressibleError as error:
            omissions.append(Omission(name, str(error)))
    return Expressed(forms, tuple(omissions))


def require_something(expressed: Expressed[Form], format_name: str) -> None:
    """Raises SolError where no member could be expressed, with all reasons."""
    if expressed.forms:
        return
    listed = "; ".join(f"{left.technique}: {left.reason}" for left in expressed.omissions)
    raise SolError(
        f"Nothing of this recipe can be said in the format {format_name!r}: "
        f"{listed or 'its stack is empty'}. Use it with sol.apply."
    )
