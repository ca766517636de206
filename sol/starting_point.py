"""A starting point: settings that somebody published, for Sol to try before any others.

It has no evidence, no digest and no approval, so it is no recipe: nothing of it was measured here.
`sol tune` measures it, and writes a recipe where it passes the gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from sol.errors import ConfigError
from sol.recipe_file import parse_mapping, read_mapping
from sol.schedule import Schedule
from sol.target import STRICT, Workload

SCHEMA: Final = "sol.starting-point/1"


@dataclass(frozen=True)
class Suggestion:
    """One technique as the source set it; a key of the config that is left out has its default."""

    __pydantic_config__ = STRICT

    technique: str
    config: Mapping[str, Any] = field(default_factory=dict)
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True)
class StartingPoint:
    """A whole file of a starting point.

    Attributes:
        source: Who published it, and where: a citation that a reader can follow.
        family: Of the models that it is for, by its name in `sol.models.families`.
        stack: At least one technique, in any order.
        model: The one model of the family that it is for, by its short name or Hub id; None for
            all of them.
        workload: What the source measured it on; None where that is not said.
        note: What a reader should know besides: what the source claims, what was left out.
    """

    __pydantic_config__ = STRICT

    schema: Literal["sol.starting-point/1"]
    status: Literal["starting-point"]
    source: str
    family: str
    stack: tuple[Suggestion, ...]
    model: str | None = None
    workload: Workload | None = None
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("source", "family"):
            if not getattr(self, name).strip():
                raise ConfigError(f"{name} is empty. A starting point says where it comes from.")
        if not self.stack:
            raise ConfigError("stack is empty. Name at least one technique.")


_ADAPTER = TypeAdapter(StartingPoint)


def load_starting_point(path: str | Path) -> StartingPoint:
    """Reads and checks a starting point.

    The names of its family, model and techniques are not looked up here.

    Raises:
        RecipeError: No such file, not YAML, an unknown or missing key, or a wrong type or value.
    """
    file = Path(path)
    data = read_mapping(file, SCHEMA, "recipes/ has those that ship with Sol.")
    return parse_mapping(_ADAPTER, data, SCHEMA, file)
