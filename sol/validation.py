"""Pydantic's complaints as text that a user can act on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")

# What a terminal shows of a file that is wrong throughout.
_MOST_CLAUSES, _MOST_OF_CLAUSE, _MOST_OF_VALUE = 8, 500, 200


def validate_plain(
    adapter: TypeAdapter[T], data: Any, default: Callable[[Any], Any] | None = None
) -> T:
    """Checks plain data strictly, as JSON: a mapping stands for a dataclass, a list for a tuple.

    Args:
        default: Makes plain what JSON lacks (YAML has dates); without it that is a TypeError.

    Raises:
        ValidationError: A key, type or value that the adapter's type does not allow.
        TypeError: Not plain data.
    """
    return adapter.validate_json(json.dumps(data, default=default))


def explain(error: ValidationError) -> str:
    """One clause for each problem, the first few of many: the key, the rule, the value."""
    problems = error.errors()
    clauses = [_cut(_clause(problem), _MOST_OF_CLAUSE) for problem in problems[:_MOST_CLAUSES]]
    n_left = len(problems) - len(clauses)
    return "; ".join([*clauses, f"and {n_left} more"] if n_left else clauses) + "."


def _clause(problem: object) -> str:
    assert isinstance(problem, dict)
    key = ".".join(str(part) for part in problem["loc"]) or "(top level)"
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{key}: no such key; remove it or correct its spelling"
    if problem["type"] in ("missing", "missing_argument"):
        return f"{key}: required, but missing"
    value = _cut(repr(problem["input"]), _MOST_OF_VALUE)
    return f"{key}: {problem['msg'].rstrip('.')}, got {value}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"
