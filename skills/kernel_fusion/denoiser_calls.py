"""Counting denoiser calls: around the denoiser, because a counter inside a compiled block would
recompile it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sol.attach import wrap_forward
from sol.roles import DenoiserRoles


@dataclass
class DenoiserCalls:
    """How many calls were really computed while a technique was installed."""

    n: int = 0


def count_denoiser_calls(
    denoisers: Iterable[DenoiserRoles], technique: str, undos: list[Callable[[], None]]
) -> DenoiserCalls:
    """Counts until undone; what undoes it is added to `undos`."""
    calls = DenoiserCalls()

    def around(forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        calls.n += 1
        return forward(*args, **kwargs)

    undos += [wrap_forward(d.module, f"sol.{technique}", around) for d in denoisers]
    return calls
