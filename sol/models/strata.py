"""A prompt's stratum: what in it is hard to make, and so what a speed-up may damage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

from sol.errors import UnknownNameError

T = TypeVar("T")

Stratum = Literal["compositional", "motion", "texture"]
"""Several objects and their relations; strong or complex movement; fine detail."""

STRATA: tuple[Stratum, ...] = get_args(Stratum)


@dataclass(frozen=True)
class Prompt:
    """One prompt of a gate, and its stratum."""

    text: str
    stratum: Stratum


def round_robin(strata: Iterable[Iterable[T]]) -> Iterator[T]:
    """One of each stratum in turn, until one of them has no more."""
    for turn in zip(*strata, strict=False):
        yield from turn


def check_stratum(name: str) -> None:
    """Refuses what is not one of `STRATA`.

    Raises:
        UnknownNameError: Lists the strata.
    """
    if name not in STRATA:
        raise UnknownNameError("stratum", name, STRATA)


def check_count(n: int) -> None:
    """Refuses a number of prompts below zero.

    Raises:
        ValueError: `n` is negative.
    """
    if n < 0:
        raise ValueError(f"n counts prompts and cannot be negative but is {n}.")
