"""torch.compile of a function in code of its own, whose calls are counted.

Dynamo keeps compiled entries by code object and allows a code object eight of them. Blocks share
theirs with all blocks of their class, in this pipeline and in others. So each region gets a code
object of its own: entries of others neither count against its limit nor are tried before its own,
and what it compiled can be let go of.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import torch

from sol.skills.kernel_fusion.compiling.counted_inductor import CountedInductor
from sol.technique import Evidence

_MOST_ENTRIES = 64
"""Of one region: the states of what is inside it (full precision or quantised, computed or reused)
times the shapes that a deployment asks for. More than that is a recompilation at every step."""


@dataclass
class RegionCalls:
    """Calls of compiled regions, and those of them in which no compiled graph ran."""

    n: int = 0
    eager: int = 0


def compile_region(
    function: FunctionType, backend: CountedInductor, dynamic: bool
) -> Callable[..., Any]:
    """`function`, compiled lazily; its code object is replaced by a copy."""
    function.__code__ = function.__code__.replace()
    # Older versions of PyTorch have Dynamo's limit only, 8 entries, which few stacks reach.
    has_limit = "recompile_limit" in inspect.signature(torch.compile).parameters
    limit = {"recompile_limit": _MOST_ENTRIES} if has_limit else {}
    compiled: Callable[..., Any] = torch.compile(  # type: ignore[call-overload]
        function, backend=backend, dynamic=dynamic, **limit
    )
    return compiled


def count_calls(
    region: Callable[..., Any], backend: CountedInductor, calls: RegionCalls
) -> Callable[..., Any]:
    """`region`, with its calls added to `calls`: outside of what is compiled."""

    def counted(*args: Any, **kwargs: Any) -> Any:
        runs_before = backend.counts.runs
        result = region(*args, **kwargs)
        calls.n += 1
        calls.eager += backend.counts.runs == runs_before
        return result

    return counted


def evidence_of(unit: str, n_units: int, backend: CountedInductor, calls: RegionCalls) -> Evidence:
    """Engaged where there were calls, a compiled graph ran in each, and kernels are in them."""
    replaced = backend.counts.replaced
    counts = {
        f"{unit}s": n_units,
        "graphs_compiled": backend.counts.compiled,
        "graph_runs": backend.counts.runs,
        f"{unit}_calls": calls.n,
        "eager_calls": calls.eager,
        **{f"{kernel}_kernels": n for kernel, n in replaced.items()},
    }
    has_kernels = replaced.total() > 0 or not backend.with_kernels
    return Evidence(calls.n > 0 and calls.eager == 0 and has_kernels, counts)
