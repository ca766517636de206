"""Prompts of natural video, written by hand: subject, place, light and camera vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, TypeVar

import yaml
from pydantic import Field, TypeAdapter

from sol.errors import SolError
from sol.models.strata import STRATA, Prompt, Stratum, check_count, check_stratum, round_robin
from sol.target import STRICT
from sol.validation import validate_plain

T = TypeVar("T")

_FILE = Path(__file__).with_name("general_prompts.yaml")
_Lines = tuple[Annotated[dict[Stratum, str], Field(min_length=1, max_length=1)], ...]


@dataclass(frozen=True)
class _Parts:
    """The file: each part a list of lines `stratum: text`."""

    __pydantic_config__ = STRICT

    calibration: _Lines
    screening: _Lines
    confirmation: _Lines
    extra: _Lines


def calibration_prompts(n: int) -> list[str]:
    """The first `n` prompts that a search may see, in the order of the file.

    Raises:
        SolError: More than there are.
    """
    return _take([p.text for p in _prompts_of(_load().calibration)], n, "calibration")


def screening_prompts(n: int) -> list[Prompt]:
    """The first `n` prompts of the gate's first look, one of each stratum in turn.

    Raises:
        SolError: More than there are.
    """
    return _take(_in_turn(_load().screening), n, "screening")


def confirmation_prompts(n: int) -> list[Prompt]:
    """The first `n` held-out prompts, one of each stratum in turn.

    Raises:
        SolError: More than there are.
    """
    return _take(_in_turn(_load().confirmation), n, "confirmation")


def extra_prompts(stratum: str, n: int) -> list[Prompt]:
    """The first `n` held-out prompts of one stratum that no confirmation uses.

    Raises:
        SolError: More than there are, or an unknown stratum.
    """
    check_stratum(stratum)
    extra = [p for p in _prompts_of(_load().extra) if p.stratum == stratum]
    return _take(extra, n, f"extra {stratum}")


@cache
def _load() -> _Parts:
    data = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return validate_plain(TypeAdapter(_Parts), data)


def _prompts_of(lines: _Lines) -> list[Prompt]:
    return [Prompt(text, stratum) for line in lines for stratum, text in line.items()]


def _in_turn(lines: _Lines) -> list[Prompt]:
    prompts = _prompts_of(lines)
    return list(round_robin([p for p in prompts if p.stratum == s] for s in STRATA))


def _take(prompts: Sequence[T], n: int, part: str) -> list[T]:
    check_count(n)
    if n > len(prompts):
        raise SolError(
            f"There are {len(prompts)} {part} prompts of natural video, {n} were asked for: "
            f"ask for {len(prompts)} or fewer."
        )
    return list(prompts[:n])
