"""Inductor as a torch.compile backend that counts the graphs it compiles and runs.

Dynamo falls back to eager code without an error (after too many recompilations, for one); a run
of a compiled graph is the only proof that compiled code was used. The counts are of the whole
process, because compiled code is: Dynamo hands the graph of one block to every equal block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch


@dataclass
class GraphCounts:
    """Graphs compiled and run since the process began. It only ever grows."""

    compiled: int = 0
    runs: int = 0

    def snapshot(self) -> GraphCounts:
        """The counts now, to be compared with later ones."""
        return replace(self)


GRAPHS = GraphCounts()


@cache
def counted_inductor(mode: str) -> Callable[..., Callable[..., Any]]:
    """The backend for `mode`; one object a mode, so that Dynamo reuses what it compiled."""
    from torch._inductor import list_mode_options
    from torch._inductor.compile_fx import compile_fx

    options = list_mode_options(mode)

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        compiled: Any = compile_fx(graph, inputs, config_patches=options)
        GRAPHS.compiled += 1

        def run(*args: Any) -> Any:
            GRAPHS.runs += 1
            return compiled(*args)

        # Dynamo must not trace the counter, or it would recompile whenever the count changes.
        untraced: Callable[..., Any] = torch._dynamo.disable(run)  # type: ignore[no-untyped-call]
        return untraced

    return backend
