"""What the source of a pipeline's call shows: its arguments, and how it calls the denoiser."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sol.errors import NotApplicableError

DENOISER = "transformer"
"""The pipeline's attribute that holds it."""

TWO_CALLS = 2
_BATCHED = 1
_FRAMES = ("num_frames", "frames", "video_length")


@dataclass(frozen=True)
class SeenCall:
    """What the source of a pipeline's `__call__` shows.

    Attributes:
        arguments: Its parameters with their defaults.
        n_denoiser_calls: Places where it calls the denoiser.
        names_branches: Whether it does so in cache contexts of their own.
    """

    arguments: Mapping[str, Any]
    n_denoiser_calls: int
    names_branches: bool

    @property
    def frames(self) -> str | None:
        """The argument for the number of frames; without one it makes no videos."""
        return next((name for name in _FRAMES if name in self.arguments), None)


def see_call(pipeline_class: type[Any]) -> SeenCall:
    """Reads a pipeline's `__call__`.

    Raises:
        NotApplicableError: It makes no videos from text, or its denoiser is called in a way that
            is not understood.
    """
    call: Any = pipeline_class.__call__
    name = pipeline_class.__name__
    if not inspect.isfunction(call):
        raise NotApplicableError(f"{name} is no pipeline: it cannot be called.")
    arguments = {
        name: parameter.default for name, parameter in inspect.signature(call).parameters.items()
    }
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(call))))
    nodes = list(ast.walk(tree))
    seen = SeenCall(
        arguments=arguments,
        n_denoiser_calls=sum(_is_denoiser_call(node) for node in nodes),
        names_branches=any(_is_context(node) for node in nodes),
    )
    obstacle = _find_obstacle(seen)
    if obstacle:
        raise NotApplicableError(
            f"Sol has no adapter for {name}, and cannot make one by looking at it: {obstacle}. "
            "A new family is one file in sol/models/adapters, one row in sol/models/families.py."
        )
    return seen


def _find_obstacle(seen: SeenCall) -> str | None:
    if "prompt" not in seen.arguments or seen.frames is None:
        return "its call has no prompt, or no number of frames"
    needed = {"image", "video"} & {
        n for n, d in seen.arguments.items() if d is inspect.Parameter.empty
    }
    if needed:
        return f"its call needs an argument {needed.pop()!r}"
    if seen.n_denoiser_calls not in (_BATCHED, TWO_CALLS):
        return f"its source calls self.{DENOISER} in {seen.n_denoiser_calls} places, not in 1 or 2"
    return None


def _is_denoiser_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _is_own(node.func, DENOISER)


def _is_context(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "cache_context"


def _is_own(node: ast.AST, name: str) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == name
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )
