"""Inductor as a torch.compile backend that counts the graphs it compiles and runs.

Dynamo falls back to eager code without an error (after too many recompilations, for one); a run
of a compiled graph is the only proof that compiled code was used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

import torch

from sol.skills.kernel_fusion.rewriting.graph_rewrites import rewrite_with_kernels


@dataclass
class GraphCounts:
    """What one backend has compiled and run. It only ever grows.

    Attributes:
        compiled, runs: Graphs.
        replaced: By kernel, how often one took the place of operations in a graph.
    """

    compiled: int = 0
    runs: int = 0
    replaced: Counter[str] = field(default_factory=Counter)


class CountedInductor:
    """The backend of one installation of a technique.

    Attributes:
        mode: One of torch.compile's.
        with_kernels: Whether Sol's kernels are put into each graph before Inductor gets it.
    """

    def __init__(self, mode: str, with_kernels: bool = False) -> None:
        self.mode = mode
        self.with_kernels = with_kernels
        self.counts = GraphCounts()
        self._codes: set[CodeType] = set()
        self._shape_envs: list[Any] = []

    def __call__(
        self, graph: torch.fx.GraphModule, inputs: list[torch.Tensor]
    ) -> Callable[..., Any]:
        from torch._inductor import list_mode_options
        from torch._inductor.compile_fx import compile_fx

        self._note_what_dynamo_keeps()
        if self.with_kernels:
            self.counts.replaced.update(rewrite_with_kernels(graph))
        compiled: Any = compile_fx(graph, inputs, config_patches=list_mode_options(self.mode))
        self.counts.compiled += 1

        def run(*args: Any) -> Any:
            self.counts.runs += 1
            return compiled(*args)

        # Dynamo must not trace the counter, or it would recompile whenever the count changes.
        untraced: Callable[..., Any] = torch._dynamo.disable(run)  # type: ignore[no-untyped-call]
        return untraced

    def _note_what_dynamo_keeps(self) -> None:
        from torch._dynamo.symbolic_convert import InstructionTranslator
        from torch._guards import TracingContext

        self._codes.add(InstructionTranslator.current_tx().f_code)
        fake_mode = TracingContext.get().fake_mode
        if fake_mode is not None and fake_mode.shape_env is not None:
            self._shape_envs.append(fake_mode.shape_env)

    def release(self) -> None:
        """Lets go of everything that was compiled; a later call compiles anew.

        Dynamo keeps compiled code with the code object that it was compiled from, for ever: its
        table from the one to the other makes a cycle that no garbage collector sees. Where a
        graph broke, those code objects are shared with other pipelines, which then compile anew.
        What is left of a compilation is half a megabyte of PyTorch's own bookkeeping, without
        data, and what it had traced before a break.
        """
        from torch._dynamo.eval_frame import remove_from_cache
        from torch._dynamo.utils import guard_failures

        for code in self._codes:
            remove_from_cache(code)
            guard_failures.pop(code, None)
        for shape_env in self._shape_envs:
            # A traced view owns its base in C++, which closes another cycle of that kind.
            shape_env.tracked_fakes.clear()
        self._codes.clear()
        self._shape_envs.clear()
