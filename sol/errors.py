"""The errors that a user can act on. The command line prints their message and no traceback."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SolError(Exception):
    """A problem with a rule, the value that broke it, and what to do about it."""


class UnknownNameError(SolError):
    """A name that is in none of the tables; the known ones are listed, the closest first."""

    def __init__(self, kind: str, name: str, known: Iterable[str], remedy: str = "") -> None:
        self.known = closest_first(name, known)
        listed = ", ".join(self.known) if self.known else "none"
        super().__init__(f"Unknown {kind} {name!r}. Known: {listed}.{_sentence(remedy)}")


class ConfigError(SolError, ValueError):
    """A config, schedule or workload with a wrong key, type or value.

    Also a ValueError, so that pydantic reports it with the key under which it arose.
    """


class NotApplicableError(SolError):
    """A technique that this pipeline or machine cannot run, with the reason."""


class ConflictError(SolError):
    """Techniques that cannot run together, with the rule that forbids it."""


class NoEffectError(SolError):
    """An installed technique that touched nothing, or never engaged while videos were made."""


class RecipeError(SolError):
    """A recipe file that cannot be read, is malformed, or was changed after it was written."""


class TargetMismatchError(SolError):
    """A recipe used on another model, machine or workload than the one it was measured on."""


class ModelLoadError(SolError):
    """A pipeline that cannot be loaded, with the remedy."""


class OutputError(SolError):
    """An output folder or file that cannot be written."""


def closest_first(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Sorts known names: those that resemble `name` first, the others alphabetically."""
    names = sorted(known)
    close = get_close_matches(name, names, n=len(names) or 1, cutoff=0.4)
    return (*close, *(n for n in names if n not in close))


def _sentence(text: str) -> str:
    return f" {text}" if text else ""
