"""An exported recipe."""

from __future__ import annotations

from dataclasses import dataclass

from sol.export.members import Omission


@dataclass(frozen=True)
class Export:
    """The text of the other format, the techniques that are in it, and what is not."""

    text: str
    expressed: tuple[str, ...]
    omissions: tuple[Omission, ...]
