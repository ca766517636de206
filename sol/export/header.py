"""What an exported file says of itself, line by line and without comment signs."""

from __future__ import annotations

from collections.abc import Sequence

from sol.export.members import Omission
from sol.recipe import Recipe


def header_lines(
    recipe: Recipe, title: str, usage: str, expressed: Sequence[str], omissions: Sequence[Omission]
) -> tuple[str, ...]:
    """Where the file comes from, what it does, and what of the recipe is not in it."""
    model, speedup = recipe.target.model, recipe.evidence.speedup
    lines = [
        f"{title}, made of the Sol recipe {recipe.digest} for {model.id}.",
        f"Use: {usage}",
        f"In it: {', '.join(expressed)}.",
        f"The whole recipe was {speedup.median:.2f} times as fast on {speedup.device}.",
    ]
    if omissions:
        lines += [
            "It passed its gate as a whole. Measure again what is left of it without:",
            *(f"  {left.technique}: {left.reason}" for left in omissions),
        ]
    return tuple(_one_line(line) for line in lines)


def _one_line(text: str) -> str:
    """A recipe's text must not end the comment that it stands in."""
    indent = text[: len(text) - len(text.lstrip(" "))]
    return indent + " ".join(text.split())
