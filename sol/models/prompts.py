"""Sets of prompts, each in disjoint parts: to tune on, to screen with, and to confirm with."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from sol.errors import UnknownNameError
from sol.models import general_prompts
from sol.models.pocket import prompts as pocket_prompts
from sol.models.strata import STRATA, Prompt

__all__ = [
    "STRATA",
    "Prompt",
    "calibration_prompts",
    "confirmation_prompts",
    "extra_prompts",
    "screening_prompts",
]


class _PromptSet(Protocol):
    """What a module of prompts offers; the first prompts do not change with `n`."""

    def calibration_prompts(self, n: int) -> list[str]: ...

    def screening_prompts(self, n: int) -> list[Prompt]: ...

    def confirmation_prompts(self, n: int) -> list[Prompt]: ...

    def extra_prompts(self, stratum: str, n: int) -> list[Prompt]: ...


_SETS: Mapping[str, _PromptSet] = MappingProxyType(
    {"pocket": pocket_prompts, "general": general_prompts}
)


def calibration_prompts(name: str, n: int) -> list[str]:
    """`n` prompts of the set `name` that a search may see.

    Raises:
        SolError: An unknown set, or more prompts than it has.
    """
    return _get_set(name).calibration_prompts(n)


def screening_prompts(name: str, n: int) -> list[Prompt]:
    """`n` prompts for the gate's first look at each of many candidates, strata in turn.

    Raises:
        SolError: An unknown set, or more prompts than it has.
    """
    return _get_set(name).screening_prompts(n)


def confirmation_prompts(name: str, n: int) -> list[Prompt]:
    """`n` held-out prompts, used only to confirm what passed screening, strata in turn.

    Raises:
        SolError: An unknown set, or more prompts than it has.
    """
    return _get_set(name).confirmation_prompts(n)


def extra_prompts(name: str, stratum: str, n: int) -> list[Prompt]:
    """`n` more held-out prompts of one stratum; none is a confirmation prompt, however many.

    Raises:
        SolError: An unknown set or stratum, or more prompts than it has.
    """
    return _get_set(name).extra_prompts(stratum, n)


def _get_set(name: str) -> _PromptSet:
    if name not in _SETS:
        raise UnknownNameError("prompt set", name, _SETS)
    return _SETS[name]
