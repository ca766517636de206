"""Stacks from recipes, and from plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sol.errors import ConfigError, ConflictError
from sol.integrator.constraints import find_conflict
from sol.recipe import Recipe
from sol.skills.registry import get_technique
from sol.technique import Stack, StackItem
from sol.validation import explain, validate_plain

_STACK = TypeAdapter(tuple[StackItem, ...])


def stack_of(recipe: Recipe) -> Stack:
    """The recipe's members as a stack."""
    return tuple(StackItem(m.technique, m.config, m.schedule) for m in recipe.stack)


def parse_stack(items: Sequence[Mapping[str, Any]]) -> Stack:
    """A bare stack from plain data.

    Raises:
        ConfigError: Not a list of {technique, config, schedule} mappings.
    """
    try:
        return validate_plain(_STACK, [dict(item) for item in items])
    except ValidationError as error:
        raise ConfigError(f"Stack: {explain(error)}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"Stack: expected a list of mappings of plain data: {error}.") from error


def check_compatible(stack: Stack) -> None:
    """Raises ConflictError where the stack's techniques exclude one another."""
    conflict = find_conflict([(get_technique(item.technique), item) for item in stack])
    if conflict:
        raise ConflictError(f"These techniques cannot run together: {conflict}. Remove one.")
