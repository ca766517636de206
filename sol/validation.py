"""Pydantic's complaints as text that a user can act on."""

from __future__ import annotations

from pydantic import ValidationError


def explain(error: ValidationError) -> str:
    """One clause for each problem: the key, the rule, the value."""
    return "; ".join(_clause(problem) for problem in error.errors()) + "."


def _clause(problem: object) -> str:
    assert isinstance(problem, dict)
    key = ".".join(str(part) for part in problem["loc"]) or "(top level)"
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{key}: no such key; remove it or correct its spelling"
    if problem["type"] in ("missing", "missing_argument"):
        return f"{key}: required, but missing"
    return f"{key}: {problem['msg'].rstrip('.')}, got {problem['input']!r}"
