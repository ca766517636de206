"""How every technique is exercised by the contract suite."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sol.schedule import Schedule
from sol.technique import StackItem


@dataclass(frozen=True)
class Settings:
    """How a technique is exercised.

    Attributes:
        bold: A config that must engage on an 8-step video.
        inert: A config or schedule with which it installs, but cannot engage, if there is one.
        tolerance: Largest latent difference that `numerical` allows.
    """

    bold: dict[str, Any] = field(default_factory=dict)
    inert: StackItem | None = None
    tolerance: float = 1e-4


SETTINGS = {
    "easycache": Settings(
        bold={"threshold": 5.0, "warmup": 2, "max_skips": 2},
        inert=StackItem("easycache", {"threshold": 5.0}, Schedule(steps="none")),
    ),
    "step_mask": Settings(
        bold={"skip": "3,5-6"}, inert=StackItem("step_mask", {"skip": "3"}, Schedule(steps="5"))
    ),
    "text_kv": Settings(),
    "int8_dynamic": Settings(bold={"layers": "all"}),
    "regional_compile": Settings(),
}
