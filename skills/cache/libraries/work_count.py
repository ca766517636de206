"""What a library's cache really left out, counted from outside of it.

The libraries report their own decisions; these counters stand at the work itself: a part that was
skipped is a part whose computation was not reached during a denoiser call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from sol.attach import count_compiled_calls, wrap_forward
from sol.technique import Evidence


@dataclass
class Work:
    """Computations of some parts of one denoiser, over its finished calls."""

    n_parts: int
    computed: int = 0
    skipped: int = 0
    in_this_call: int = 0


def count_parts(parts: Sequence[nn.Module], name: str, undos: list[Callable[[], None]]) -> Work:
    """Counts the computations of `parts`.

    To be called before a library wraps the parts: what stands inside its hooks is reached only
    when they compute.
    """
    work = Work(len(parts))

    def count() -> None:
        work.in_this_call += 1

    undos += [_count_calls(part, f"{name}.part", count) for part in parts]
    return work


def count_denoiser_calls(
    denoiser: nn.Module, work: Work, name: str, before_call: Callable[[], None]
) -> Callable[[], None]:
    """Runs `before_call` before each denoiser call and adds the call to `work` after it."""

    def around(forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        before_call()
        work.in_this_call = 0
        result = forward(*args, **kwargs)
        work.computed += work.in_this_call
        work.skipped += work.n_parts - work.in_this_call
        return result

    return wrap_forward(denoiser, name, around)


def evidence_of(works: Sequence[Work], unit: str) -> Evidence:
    """Engaged where at least one part of one call was left out."""
    skipped = sum(work.skipped for work in works)
    computed = sum(work.computed for work in works)
    return Evidence(skipped > 0, {f"{unit}_computed": computed, f"{unit}_skipped": skipped})


def _count_calls(part: nn.Module, name: str, count: Callable[[], None]) -> Callable[[], None]:
    if part._compiled_call_impl is not None:
        return count_compiled_calls(part, count)

    def around(forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        count()
        return forward(*args, **kwargs)

    return wrap_forward(part, name, around)
